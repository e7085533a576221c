"""Zen-score: how much a Gaussian input noise moves the last feature map, batch norms undone (Lin et al., 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.func import functional_call

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import probing_mode, require_inputs
from ._weights import require_layers

_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)


@torch.no_grad()
def zen(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.01,
    batch_size: int = 16,
    generator: torch.Generator | None = None,
) -> float:
    """Return log E ‖f_e(z) − f_e(z + α ε)‖_F + Σ_i log √(mean_j σ_ij²), with z and ε ~ N(0, I).

    Source: Lin et al., Zen-NAS, arXiv:2102.01063, algorithm 1; larger is expected to be better. f_e is the network
    before the global average pool, or before its last linear layer if it has no such pool; σ_ij is the standard
    deviation of channel j where batch norm i takes it in, over the minibatch z; its factor undoes the scale that the
    batch norm takes away. No data are used. The paper draws weights from N(0, 1) (here ``standard_normal``), and takes
    residual links out beforehand, which cannot be done to any network: sums stay as they are here. The norm is the
    paper's; the authors' code has the mean over inputs of the L1 norm (Spearman of the two 0.97 over 40 CNNs).

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), of which only shape, device and type are used.
        y: Not used.
        noise_std: α, the standard deviation of the noise.
        batch_size: Random inputs, at least two; the paper's code has 16 for small images.
        generator: Source of z and ε, on the device of ``x``; torch's global generator if None.

    Returns:
        The score; -inf for a network that noise does not move.

    Raises:
        InvalidInputError: The network has neither a global average pool nor a linear layer, or inputs are integers.
    """
    require_inputs(x, 0)
    require_layers(model)
    features: list[torch.Tensor] = []
    pools: list[torch.Tensor] = []
    variances: list[torch.Tensor] = []

    def keep_features(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        (pools if isinstance(module, _POOLS) else features).append(arguments[0].clone())

    def keep_variance(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if not last:  # those of z; of z with noise they are not needed
            variances.append(_variances(module, arguments[0]).double().mean())

    norms = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    hooks = [m.register_forward_hook(keep_variance) for _, m in norms]
    ends = [m for m in model.modules() if isinstance(m, (*_POOLS, nn.Linear))]
    hooks += [m.register_forward_pre_hook(keep_features) for m in ends]
    shape = (2, batch_size, *x.shape[1:])
    z, noise = torch.randn(shape, generator=generator, device=x.device, dtype=x.dtype).unbind()
    last: list[torch.Tensor] = []
    try:
        with probing_mode(model, batch_statistics=True):
            for inputs in (z, z + noise_std * noise):
                with _statistics_of_one_pass([] if last else norms) as buffers:
                    functional_call(model, buffers, (inputs,))
                if not features and not pools:
                    raise InvalidInputError("a global average pool or a linear layer is needed; the network calls none")
                last.append((pools or features)[-1].flatten(1).double())
                features.clear()
                pools.clear()
    finally:
        for hook in hooks:
            hook.remove()
    score = (last[1] - last[0]).norm(dim=1).mean().log()
    return float(score + sum(v.log() / 2 for v in variances))


@contextmanager
def _statistics_of_one_pass(
    norms: Sequence[tuple[str, nn.modules.batchnorm._BatchNorm]],
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield buffers, to be used in place of the norms' own, whose running variances are those of the last call."""
    before = [(m, m.momentum, m.track_running_stats) for _, m in norms]
    try:
        for _, m in norms:
            m.momentum, m.track_running_stats = 1.0, m.running_var is not None
        yield {
            f"{name}.{key}" if name else key: buffer.clone()
            for name, m in norms
            for key, buffer in m.named_buffers(recurse=False)
        }
    finally:
        for m, momentum, tracked in before:
            m.momentum, m.track_running_stats = momentum, tracked


def _variances(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the variance (c,) of every channel of a batch norm's input (n, c, ...), divided by the number of entries.

    The norm has computed it, but for the factor of the unbiased one, unless it keeps no running variance.
    """
    n = x.numel() // x.shape[1]
    if isinstance(norm.running_var, torch.Tensor):
        return norm.running_var * (n - 1) / n
    return x.movedim(1, 0).flatten(1).var(dim=1, correction=0)


METRIC = Metric(
    function=zen,
    direction="larger",
    source="Lin et al. 2021, arXiv:2102.01063, algorithm 1",
    cost="2 forward of 16 random inputs",
    requirements="a global average pool or a linear layer",
)
