"""Outcomes on a scale on which a linear model may stand: the better half as it is, the worse half by its ranks.

Errors and losses have a long tail of bad networks that would decide every fit, though nobody looks for them. So the
better half keeps its distances and the worse half only its order, as normal scores (half-rank warping, Song et al.
2024, "The Vizier Gaussian Process Bandit Algorithm", arXiv:2408.11527, section 4.1). Symbol, meaning:

    y    outcome, smaller is better; infinite if the training failed
    z    warped outcome: 0 on average over the trained ones, standard deviation 1
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OutcomeScale:
    """A continuous, increasing map between outcomes and warped ones.

    Attributes:
        y: Outcomes at the knots, from the median up, shape (k,).
        z: Warped outcomes at the knots, shape (k,).
        unit: Change of the outcome for a change of 1 in the warped one outside the knots, where the map is a line.
    """

    y: Array
    z: Array
    unit: float


def outcome_scale(outcomes: ArrayLike) -> OutcomeScale:
    """Return the scale that the outcomes of the trained candidates define.

    Args:
        outcomes: Shape (n,), n ≥ 1, no NaN; infinite ones are as bad as can be told from the others.
    """
    y = _finite(np.asarray(outcomes, dtype=np.float64))
    median = float(np.median(y))
    is_good = y <= median
    from scipy.stats import rankdata  # takes a second to import, which few commands need

    scores = ndtri((rankdata(y) - 0.375) / (y.size + 0.25))
    unit = _root_mean_square(y[is_good] - median) or _root_mean_square(y - median) or 1.0
    z = np.where(is_good, (y - median) / unit, scores / (_root_mean_square(scores[is_good]) or 1.0))
    mean, sd = float(z.mean()), float(z.std()) or 1.0
    knots, first = np.unique(np.append(median, y[~is_good]), return_index=True)
    return OutcomeScale(y=knots, z=(np.append(0.0, z[~is_good])[first] - mean) / sd, unit=unit * sd)


def warp(outcomes: ArrayLike, scale: OutcomeScale) -> Array:
    """Return warped outcomes; an infinite one is at the last knot."""
    y = np.asarray(outcomes, dtype=np.float64)
    y = np.where(np.isinf(y), scale.y[-1], y)
    return np.asarray(np.interp(y, scale.y, scale.z) + _outside(y, scale.y) / scale.unit)


def unwarp(warped: ArrayLike, scale: OutcomeScale) -> Array:
    """Return the outcomes of warped ones."""
    z = np.asarray(warped, dtype=np.float64)
    return np.asarray(np.interp(z, scale.z, scale.y) + _outside(z, scale.z) * scale.unit)


def warped_variance(outcomes: ArrayLike, standard_errors: ArrayLike, scale: OutcomeScale) -> Array:
    """Return the variances of warped outcomes: the squared half of what y ± its standard error spans."""
    y, error = np.asarray(outcomes, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    return np.asarray(((warp(y + error, scale) - warp(y - error, scale)) / 2) ** 2)


def _outside(values: Array, knots: Array) -> Array:
    """Return how far values lie below the first knot (negative) or above the last; 0 between them."""
    return values - np.clip(values, knots[0], knots[-1])


def _finite(y: Array) -> Array:
    """Return outcomes with the failed ones as far above the worst finite one as that is above the best."""
    is_finite = np.isfinite(y)
    if not is_finite.any():
        return np.zeros_like(y)
    best, worst = float(y[is_finite].min()), float(y[is_finite].max())
    return np.where(is_finite, y, worst + ((worst - best) or 1.0))


def _root_mean_square(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
