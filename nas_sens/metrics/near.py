"""NEAR: effective rank of the activations of all layers, before and after activation (Husistein et al., 2025)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._activations import ACTIVATIONS
from ._metric import Metric
from ._network import probing_mode, require_inputs
from ._weights import LAYERS_WITH_OUTPUT, require_layers, require_layers_of_their_own

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


@torch.no_grad()
def near(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_l erank(Z_l) + erank(h(Z_l)), the effective ranks of pre- and post-activation matrices.

    Source: Husistein et al., NEAR: a training-free pre-estimator of machine learning model performance,
    arXiv:2408.08776; larger is expected to be better. The effective rank is exp of the entropy of the singular values
    divided by their sum (Roy and Vetterli, 2007). As in the authors' code, the matrices are the outputs of all linear,
    convolution, normalisation and activation modules, one row for each input, or each position of each input, one
    column for each unit or channel. As in the paper's appendix, of more rows than columns a square block of
    neighbouring rows is taken, from the top of a feature map's column, at random; ``x`` should hold at least as many
    inputs as the widest layer has units, or ranks are those of the inputs.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape).
        y: Not used.
        batch_statistics: Whether batch norms use the statistics of ``x``, as in training, or their running ones.
        generator: Chooses the blocks of rows; torch's global generator if None.

    Raises:
        InvalidInputError: There are no inputs, or no such modules.
    """
    require_inputs(x, 1)
    require_layers(model)
    ranks: list[torch.Tensor] = []
    called: set[nn.Module] = set()

    def add_rank(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        called.add(module)
        ranks.append(effective_rank(_square(output, generator).double()))

    kinds = (*LAYERS_WITH_OUTPUT, *_NORMS, *ACTIVATIONS)
    hooks = [m.register_forward_hook(add_rank) for m in model.modules() if isinstance(m, kinds)]
    try:
        with probing_mode(model, batch_statistics=batch_statistics):
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    require_layers_of_their_own(model, called, x)
    if not ranks:
        raise InvalidInputError("a linear, convolution or activation module is needed; the network calls none")
    return float(torch.stack(ranks).sum())


def effective_rank(matrix: torch.Tensor) -> torch.Tensor:
    """Return exp(−Σ p log p), p being the singular values over their sum; 0 for a matrix of zeros (m, n)."""
    # They are those of the transpose; a matrix of fewer rows than columns takes twice the time.
    values = torch.linalg.svdvals(matrix.mT if len(matrix) < matrix.shape[1] else matrix)
    p = values / values.sum()
    return torch.where(values.sum() > 0, torch.special.entr(p).sum().exp(), 0.0)


def _square(output: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """Return at most as many rows as columns; feature maps (n, c, h, w) have rows in the order n, w, h."""
    period = output.shape[-1]
    if output.ndim == 3:  # tokens (n, t, c)
        period = output.shape[1]
    elif output.ndim > 3:
        output = output.transpose(1, -1)  # (n, w, h, c)
        period = output.shape[-2]
    rows = output.flatten(0, -2)
    n, c = rows.shape
    n_starts = (n - c) // period + 1 if n > c else 1
    if n_starts == 1:
        return rows[:c]
    device = "cpu" if generator is None else generator.device
    start = torch.randint(n_starts, (), generator=generator, device=device) * period
    return rows[start.to(rows.device) + torch.arange(c, device=rows.device)]  # as a slice needs a number to wait for


METRIC = Metric(
    function=near,
    direction="larger",
    source="Husistein et al. 2025, arXiv:2408.08776",
    cost="forward + singular values of one matrix a layer",
    requirements="linear, convolution or activation modules",
)
