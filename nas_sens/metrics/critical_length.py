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
        low: Lower end of the bootstrap interval of ξ.
        high: Upper end.
        intercept: a, stiffness at distance 0.
        slope: b.
        n_pairs: Number of pairs that the line is fitted to.
    """

    xi: float
    low: float
    high: float
    intercept: float
    slope: float
    n_pairs: int


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
    larger its learning rate; a larger ξ is a stiffer network, which is expected to be better.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), standardised as the network was trained on; the paper has some 500.
        y: Labels (n,) of an integer type.
        kind: "sign" or "cosine".
        generator: Not used; only the bootstrap of :func:`fit_critical_length` draws.

    Raises:
        InvalidInputError: There are no labels, or fewer than three pairs of one class.
    """
    y = require_labels(x, y)
    values = as_kind(gradient_cosines(model, x, y), kind)
    return fit_critical_length(values, input_distances(x, x), _same_class(y), n_resamples=0).xi


def input_distances(x_rows: torch.Tensor, x_columns: torch.Tensor) -> torch.Tensor:
    """Return 1 − cos(x_i, x_j) (n, m), from 0 to 2, of inputs (n, *input_shape) and (m, *input_shape); eq. 8."""
    rows, columns = (nn.functional.normalize(x.flatten(1).double(), dim=1) for x in (x_rows, x_columns))
    return (1 - rows @ columns.T).clamp(0.0, 2.0)


def fit_critical_length(
    values: torch.Tensor,
    distances: torch.Tensor,
    pairs: torch.Tensor,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator | None = None,
) -> CriticalLength:
    """Return ξ with a bootstrap interval over inputs: pairs that share an input are not independent, inputs are.

    Args:
        values: Stiffness s (n, m).
        distances: d (n, m).
        pairs: Which pairs count (n, m), bool. A square matrix is taken for one set of inputs paired with itself, whose
            rows and columns are drawn together; else both are drawn.
        n_resamples: Bootstrap samples; 0 for none (the interval is nan).
        confidence: Of the percentile interval.
        generator: Draws the samples, on the device of ``values``; torch's global generator if None.

    Raises:
        InvalidInputError: There are fewer than three pairs.
    """
    n, m = values.shape
    n_pairs = int(pairs.sum())
    if n_pairs < 3:
        raise InvalidInputError(f"a critical length needs at least 3 pairs of inputs of one class; given {n_pairs}")
    mask, d, s = pairs.double(), distances.double(), values.double()
    # Sums over pairs of 1, d, d², s, d·s are quadratic forms in the numbers of times that inputs were drawn.
    forms = torch.stack([mask, mask * d, mask * d * d, mask * s, mask * d * s])
    intercept, slope = _line(forms.sum(dim=(1, 2)))
    low = high = math.nan
    if n_resamples:
        rows = _drawn(n, n_resamples, values.device, generator)
        columns = rows if n == m else _drawn(m, n_resamples, values.device, generator)
        sums = torch.stack([((rows @ form) * columns).sum(dim=1) for form in forms])
        lengths = _crossing(*_line(sums)).sort().values
        cut = (1 - confidence) / 2
        low, high = (float(lengths[round(q * (n_resamples - 1))]) for q in (cut, 1 - cut))
    return CriticalLength(float(_crossing(intercept, slope)), low, high, float(intercept), float(slope), n_pairs)


def _drawn(n: int, n_resamples: int, device: torch.device, generator: torch.Generator | None) -> torch.Tensor:
    """Return how often each of n inputs is drawn (n_resamples, n), n draws with replacement a sample."""
    draws = torch.randint(n, (n_resamples, n), generator=generator, device=device)
    return torch.zeros((n_resamples, n), dtype=torch.float64, device=device).scatter_add_(
        1, draws, torch.ones((), dtype=torch.float64, device=device).expand(n_resamples, n)
    )


def _line(sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return intercept and slope of the line of least squares from Σ1, Σd, Σd², Σs, Σds."""
    one, d, dd, s, ds = sums
    slope = (one * ds - d * s) / (one * dd - d * d)
    return (s - slope * d) / one, slope


def _crossing(intercept: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.where(slope < 0, (-intercept / slope).clamp(min=0), torch.inf)


def _same_class(y: torch.Tensor) -> torch.Tensor:
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
