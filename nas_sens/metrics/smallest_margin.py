"""Smallest margin of the normalised network, whose inverse bounds the test error (liao2019, appendix J)."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from ._network import require_classes, require_labels
from ._normalized_outputs import normalized_outputs


def smallest_margin(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return η = min_n (f̃_y(x_n) − max_{k≠y} f̃_k(x_n)), with f̃ = f / ρ and ρ = Π_k ‖W_k‖.

    Source: liao2019, eq. 13 and appendices A and J: of networks without training error, η over the training set says
    where the support vectors lie, and the test error is bounded by a line in 1 / η whose slope and intercept are not
    known. Below 0 where an input is classified wrongly.

    Args:
        model: A chain of positively homogeneous layers that maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), those that the network was trained on.
        y: Their labels (n,), of an integer type.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, or the product of layer norms has no meaning for this network.
    """
    y = require_labels(x, y)
    outputs = normalized_outputs(model, x)
    place = require_classes(outputs, y)[:, None]
    margins = outputs.gather(1, place) - outputs.scatter(1, place, -torch.inf).amax(1, keepdim=True)
    return float(margins.min())


METRIC = Metric(
    function=smallest_margin,
    direction="larger",
    source="Liao et al. 2019, eq. 13, appendices A and J",
    cost="forward",
    needs_labels=True,
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
