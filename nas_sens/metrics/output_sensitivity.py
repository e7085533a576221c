"""Output sensitivity S: variance of the mean output noise that input noise causes (forouzesh2020, eq. 2).

Symbols:

    f(x)    logits of the network, or their softmax         (n, K)
    ε       input noise, i.i.d. N(0, noise_std²)            (n, *input_shape)
    ε_y     f(x + ε) − f(x)                                 (n, K)
    S_θ     Var over x and ε of (1/K) Σ_k ε_y^k             scalar, one network

Behind a softmax the K outputs sum to 1, so that their mean never moves and eq. 2 is 0 for every network. There S_θ is
(1/K²) Σ_k Var(ε_y^k) instead, what eq. 2 gives for outputs whose noises are uncorrelated.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from ..core.device import has_float64, in_double
from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode


@torch.no_grad()
def output_sensitivity(
    model: nn.Module,
    x: torch.Tensor,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
    n_noise: int = 1,
    after_softmax: bool = False,
    batch_size: int | None = None,
) -> float:
    """Return S_θ of one network, trained or not: how much input noise moves its outputs.

    Source: forouzesh2020, eq. 2; no labels are used. The network is evaluated in evaluation mode and left in the mode
    it came in. The variance over the ``n_noise * n`` pairs is the unbiased one (divided by their number minus 1),
    accumulated in float64. S is not scale-free: it grows with the square of the output scale and, for small noise,
    with noise_std². Its relative standard error over inputs and noise is about sqrt(2 / (n_noise * n)) where the mean
    output noise is close to normal. Cost: n_noise + 1 forward passes of ``x``.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two, on the model's device.
        noise_std: Standard deviation of the input noise, in the units of ``x``.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.
        n_noise: Noise draws for each input.
        after_softmax: Whether to put a softmax on the logits; a comparator (the paper's Table I: it predicts worse).
            The variance is then the mean over outputs, divided by K (see the top of this file).
        batch_size: Inputs per forward pass; None for all at once.

    Returns:
        S_θ, a float; 0.0 for a dead network, inf or nan where the outputs are not finite in float64 either, which is
        tried where they are not in float32.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, there are fewer than two inputs, or they are integers.

    Example:
        >>> import torch
        >>> g = torch.Generator().manual_seed(0)
        >>> x = torch.rand(1000, 4, generator=g)
        >>> linear = torch.nn.Linear(4, 1, bias=False)
        >>> _ = torch.nn.init.ones_(linear.weight)
        >>> s = output_sensitivity(linear, x, noise_std=0.1, generator=g)  # D * noise_std ** 2 = 0.04
        >>> abs(s - 0.04) < 0.008
        True
    """
    if not noise_std > 0:
        raise InvalidInputError(f"noise_std must be greater than 0; given {noise_std}")
    if len(x) < 2 or n_noise < 1:
        raise InvalidInputError(
            f"a variance needs at least 2 inputs and 1 noise draw each; given {len(x)} inputs and n_noise = {n_noise}"
        )
    if not x.is_floating_point():
        raise InvalidInputError(f"noise needs floating-point inputs; given {x.dtype}; convert them first")
    source = generator or _global_stream(x.device)
    before = None if source is None else source.get_state()

    def in_type(network: nn.Module, dtype: torch.dtype) -> float:
        with evaluation_mode(network):
            clean = _outputs(network, x.to(dtype), batch_size)
            noisy = []
            for _ in range(n_noise):
                noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
                noisy.append(_outputs(network, noise.mul_(noise_std).add_(x).to(dtype), batch_size))
        return float(output_noise_variance(clean.repeat(n_noise, 1), torch.cat(noisy), after_softmax=after_softmax))

    value = in_type(model, x.dtype)
    if math.isfinite(value) or source is None or before is None or not (_is_single(model, x) and has_float64(x.device)):
        return value
    # Deep networks of standard-normal weights overflow float32 long before float64; a copy, as the network is the
    # caller's, and the same noise again.
    source.set_state(before)
    return in_type(copy.deepcopy(model).double(), torch.float64)


def output_noise_variance(clean: torch.Tensor, noisy: torch.Tensor, *, after_softmax: bool) -> torch.Tensor:
    """Return S_θ, a float64 scalar, from logits (n, K) without and with input noise."""
    noise, _ = _noise(clean, noisy, after_softmax)
    return _variance(noise, after_softmax)


def output_noise_statistics(clean: torch.Tensor, noisy: torch.Tensor, *, after_softmax: bool) -> torch.Tensor:
    """Return what input noise does to the outputs of one network, from logits (n, K) without and with it.

    Returns:
        Float64 (3,), on the device unless it has no such type: S_θ; the noise power mean_x ‖ε_y‖²; the signal
        Σ_k Var_x f_k(x). The second over the third is the relative sensitivity, which has no scale.
    """
    noise, clean = _noise(clean, noisy, after_softmax)
    return torch.stack([_variance(noise, after_softmax), noise.square().sum(dim=1).mean(), clean.var(dim=0).sum()])


def _noise(clean: torch.Tensor, noisy: torch.Tensor, after_softmax: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ε_y and f(x), float64."""
    clean, noisy = in_double(clean), in_double(noisy)
    if after_softmax:
        clean, noisy = clean.softmax(dim=1), noisy.softmax(dim=1)
    return noisy - clean, clean


def _variance(noise: torch.Tensor, after_softmax: bool) -> torch.Tensor:
    return noise.var(dim=0).mean() / noise.shape[1] if after_softmax else noise.mean(dim=1).var()


def _is_single(model: nn.Module, x: torch.Tensor) -> bool:
    parameter = next(model.parameters(), None)
    return x.dtype == torch.float32 and parameter is not None and parameter.dtype == torch.float32


def _global_stream(device: torch.device) -> torch.Generator | None:
    """Return the global generator that noise on a device is drawn from; None where it cannot be put back."""
    return torch.default_generator if device.type == "cpu" else None


def _outputs(model: nn.Module, x: torch.Tensor, batch_size: int | None) -> torch.Tensor:
    return model(x) if batch_size is None else torch.cat([model(part) for part in x.split(batch_size)])
