"""Dynamical critical length: the distance between inputs at which stiffness within a class is gone (fort2019, 2.4).

Symbols:

    d_ij    1 − cos(x_i, x_j), distance of inputs, eq. 8            (n, m)
    s_ij    their stiffness, sign or cosine                         (n, m)
    ξ       zero crossing of the line s = a + b·d of least squares  scalar
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import require_labels
from .stiffness import Kind, as_kind, gradient_cosines


@dataclass(frozen=True)
class CriticalLength:
    """The line fitted to stiffness against distance, and where it crosses zero.

    Attributes:
        xi: ξ; inf where stiffness does not fall with distance, 0 where the line is below 0 everywhere.
        intercept: a, stiffness at distance 0.
        slope: b.
    """

    xi: float
    intercept: float
    slope: float


def critical_length(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    kind: Kind = "sign",
    generator: torch.Generator | None = None,
) -> float:
    """Return ξ, the distance at which the stiffness of two inputs of one class is gone.

    Source: fort2019 (arXiv:1901.09491), sections 2.4 and 4.2: ξ falls while a network is trained, and the more the
    larger its learning rate; a larger ξ is a stiffer network, which is expected to be better. A ξ above the largest
    distance within a class (:func:`nas_sens.metrics.class_diameter.class_diameter`), as most are, is extrapolated: it
    says how flat the line is.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), standardised as the network was trained on; the paper has some 500.
        y: Labels (n,) of an integer type.
        kind: "sign" or "cosine".
        generator: Not used.

    Raises:
        InvalidInputError: There are no labels, or fewer than three pairs of one class.
    """
    y = require_labels(x, y)
    values = as_kind(gradient_cosines(model, x, y), kind)
    return fit_critical_length(values, input_distances(x, x), same_class(y)).xi


def input_distances(x_rows: torch.Tensor, x_columns: torch.Tensor) -> torch.Tensor:
    """Return 1 − cos(x_i, x_j) (n, m), from 0 to 2, of inputs (n, *input_shape) and (m, *input_shape); eq. 8."""
    rows, columns = (nn.functional.normalize(x.flatten(1).double(), dim=1) for x in (x_rows, x_columns))
    return (1 - rows @ columns.T).clamp(0.0, 2.0)


def fit_critical_length(values: torch.Tensor, distances: torch.Tensor, pairs: torch.Tensor) -> CriticalLength:
    """Return the line of least squares through the stiffness of pairs against their distance, and ξ.

    Args:
        values: Stiffness s (n, m).
        distances: d (n, m).
        pairs: Which pairs count (n, m), bool.

    Raises:
        InvalidInputError: There are fewer than three pairs.
    """
    n_pairs = int(pairs.sum())
    if n_pairs < 3:
        raise InvalidInputError(f"a critical length needs at least 3 pairs of inputs of one class; given {n_pairs}")
    d, s = distances[pairs].double(), values[pairs].double()
    centred = d - d.mean()
    slope = float(centred @ s / (centred @ centred))
    intercept = float(s.mean() - slope * d.mean())
    return CriticalLength(max(0.0, -intercept / slope) if slope < 0 else math.inf, intercept, slope)


def same_class(y: torch.Tensor) -> torch.Tensor:
    """Return which pairs (n, n) of different inputs are of one class.

    Raises:
        InvalidInputError: Labels are no classes.
    """
    if y.is_floating_point() or y.ndim != 1:
        raise InvalidInputError(f"pairs of one class need integer labels (n,); given {y.dtype} {tuple(y.shape)}")
    return (y[:, None] == y[None, :]).fill_diagonal_(False)


METRIC = Metric(
    function=critical_length,
    direction="larger",
    source="Fort et al. 2019, arXiv:1901.09491, section 2.4, eq. 8",
    cost="forward + backward of every input by itself, and n² products of gradients",
    needs_labels=True,
    requirements="classes; at least 3 pairs of inputs of one class; operations that torch.func.vmap takes",
)
