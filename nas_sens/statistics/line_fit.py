"""A line of least squares with what its slope leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import large_samples
from .bootstrap import MANY, Array, percentile_intervals
from .correlations import MIN_POINTS, Observations, as_floats
from .interval import Interval


@dataclass(frozen=True)
class LineFit:
    """y = intercept + slope · x.

    Attributes:
        slope: With its bootstrap interval over points.
        intercept: In the unit of y.
        r2: Share of the variance of y that the line explains.
        n: Number of points.
    """

    slope: Interval
    intercept: float
    r2: float
    n: int


def line_fit(
    x: Observations, y: Observations, *, n_resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> LineFit | None:
    """Return the line of least squares; None with fewer than five finite pairs or without variance.

    Args:
        x: Shape (n,); pairs with a missing or non-finite member are left out.
        y: Shape (n,).
        n_resamples: Bootstrap resamples of the pairs, for the percentile interval of the slope; of more than
            ``bootstrap.MANY`` pairs, none.
        seed: Seed of the resampling.
        confidence: Of the interval.
    """
    x, y = as_floats(x), as_floats(y)
    is_pair = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_pair], y[is_pair]
    n = x.size
    if n < MIN_POINTS or x.min() == x.max() or y.min() == y.max():
        return None
    x_mean, y_mean = float(x.mean()), float(y.mean())
    u, v = x - x_mean, y - y_mean  # so that sums of products lose no digits
    if n > MANY:
        slope = large_samples.slope(u, v).interval(confidence)
    else:
        (slope,) = percentile_intervals(
            lambda counts: _slopes(counts, u, v), n, n_resamples=n_resamples, seed=seed, confidence=confidence
        )
    r2 = float((u @ v) ** 2 / ((u @ u) * (v @ v)))
    return LineFit(slope, y_mean - slope.estimate * x_mean, r2, n)


def _slopes(counts: Array, u: Array, v: Array) -> Array:
    """Return the slope in every resample, shape (B,); NaN where all points of a resample are one."""
    mean_u, mean_v, mean_uu, mean_uv = (counts @ values / u.size for values in (u, v, u * u, u * v))
    variance = mean_uu - mean_u * mean_u
    return np.asarray((mean_uv - mean_u * mean_v) / np.where(variance > 1e-12 * (u @ u) / u.size, variance, np.nan))
