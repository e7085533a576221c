"""Jacobian covariance: how differently the outputs answer to changes of different inputs (Mellor et al., 2020)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import probing_mode, require_inputs
from ._weights import require_floats

_K = 1e-5  # keeps the logarithm finite; the value of the paper


def jacob_cov(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return −Σ_i [log(σ_i + k) + 1/(σ_i + k)], with σ_i the eigenvalues of the correlations of input gradients.

    Source: Mellor et al., Neural architecture search without training, arXiv:2006.04647v1 (the first version, whose
    score this is); larger is expected to be better. The gradient of an input is that of the sum of all outputs
    (with batch statistics, the outputs of the whole minibatch, as in the authors' code); k = 1e-5. It is 1/σ_i of the
    smallest eigenvalues that counts, so that rounding matters: gradients are correlated in float64.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), one minibatch, at least two.
        y: Not used.
        batch_statistics: Whether batch norms use the statistics of ``x``, as the paper does, or their running ones.
        generator: Not used; nothing is drawn.

    Returns:
        The score; nan where the gradient of an input is constant over its entries, as in a dead network.

    Raises:
        InvalidInputError: There are fewer than two inputs, or they are integers.
    """
    require_inputs(x, 2)
    require_floats(model)
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad(), probing_mode(model, batch_statistics=batch_statistics):
        (gradients,) = torch.autograd.grad(model(inputs).sum(), inputs, materialize_grads=True)
    return score_of(gradients)


def score_of(gradients: torch.Tensor) -> float:
    """Return the score of the gradients (n, *input_shape) of a network; waits for the device."""
    correlations = torch.corrcoef(gradients.flatten(1).double())
    if not bool(torch.isfinite(correlations).all()):
        return float("nan")
    sigma = torch.linalg.eigvalsh(correlations).clamp(min=0)  # rounding may make the smallest ones negative
    return float(-((sigma + _K).log() + 1 / (sigma + _K)).sum())


METRIC = Metric(
    function=jacob_cov,
    direction="larger",
    source="Mellor et al. 2020, arXiv:2006.04647v1",
    cost="forward + backward",
    requirements="at least 2 inputs",
)
