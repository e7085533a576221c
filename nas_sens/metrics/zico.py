"""ZiCo: mean over spread of the gradients of different minibatches (Li et al., 2023)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import loss_gradients, require_labels
from ._weights import with_plain_weights


def zico(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    n_batches: int = 2,
    batch_statistics: bool = True,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ_l log Σ_{w in layer l} E|∂L/∂w| / √Var|∂L/∂w|, mean and variance being over minibatches.

    Source: Li et al., ZiCo: zero-shot NAS via inverse coefficient of variation on gradients, arXiv:2301.11300, with
    its two minibatches as the default; larger is expected to be better. The weights are those of linear, convolution,
    attention and recurrent layers. As in the authors' code, the variance is divided by the number of minibatches,
    weights with a constant gradient are left out, and so are layers of such weights alone; where that code has the
    variance of the gradient, this has that of its absolute value, as the paper.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), cut into minibatches in their order.
        y: Labels (n,) of an integer type, or targets of the shape of the outputs.
        n_batches: Number of minibatches, at least two.
        batch_statistics: Whether batch norms use the statistics of the minibatch, as the paper does, or running ones.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, fewer inputs than minibatches, or no linear or convolution layers.
    """
    y = require_labels(x, y)
    if n_batches < 2 or len(x) < n_batches:
        raise InvalidInputError(
            f"at least 2 minibatches of at least 1 input are needed; given {len(x)} inputs, n_batches = {n_batches}"
        )
    model = with_plain_weights(model)
    batches = [
        {name: g.abs() for name, (_, g) in found.items()}
        for part, labels in zip(x.tensor_split(n_batches), y.tensor_split(n_batches), strict=True)
        for found in [loss_gradients(model, part, labels, batch_statistics=batch_statistics)]
    ]
    totals = torch.stack([_mean_over_spread([batch[name] for batch in batches]).sum().double() for name in batches[0]])
    return float(torch.where(totals > 0, totals.log(), 0.0).sum())


def _mean_over_spread(magnitudes: list[torch.Tensor]) -> torch.Tensor:
    """Return mean over standard deviation of each entry; 0 without any spread."""
    if len(magnitudes) == 2:  # of two numbers it is their sum over their difference, which is exact where they are near
        a, b = magnitudes
        mean, spread = a + b, (a - b).abs_()
    else:
        stacked = torch.stack(magnitudes).double()
        mean = stacked.mean(dim=0)
        spread = stacked.std(dim=0, correction=0)
    return torch.where(spread > 0, mean.div_(spread), 0.0)


METRIC = Metric(
    function=zico,
    direction="larger",
    source="Li et al. 2023, arXiv:2301.11300",
    cost="forward + backward",
    needs_labels=True,
    requirements="linear or convolution layers; at least 2 inputs",
)
