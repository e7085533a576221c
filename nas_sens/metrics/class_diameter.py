"""Largest distance between two inputs of one class: how far a critical length is measured (fort2019, eq. 8)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import require_inputs, require_labels
from .critical_length import input_distances, same_class


def class_diameter(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor | None = None, *, generator: torch.Generator | None = None
) -> float:
    """Return the largest 1 − cos(x_i, x_j) of two inputs of one class.

    Source: fort2019 (arXiv:1901.09491), eq. 8. It is a number of the inputs alone, to be shown beside ξ: the line whose
    zero is ξ rests on distances up to this, and beyond it ξ says how flat the line is, not where stiffness ends. The
    more of ξ lies within it, the better ξ is founded.

    Args:
        model: Not used.
        x: Inputs (n, *input_shape), standardised as the network was trained on.
        y: Labels (n,) of an integer type.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: There are no labels, fewer than two inputs, or no two of one class.
    """
    require_inputs(x, 2)
    y = require_labels(x, y)
    largest = float(torch.where(same_class(y), input_distances(x, x), -1.0).max())
    if largest < 0:
        raise InvalidInputError("a largest distance within classes needs two inputs of one class; given none")
    return largest


METRIC = Metric(
    function=class_diameter,
    direction="larger",
    source="Fort et al. 2019, arXiv:1901.09491, eq. 8",
    cost="n² products of inputs",
    needs_labels=True,
    requirements="classes; at least 2 inputs of one class",
)
