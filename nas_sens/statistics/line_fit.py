"""A line of least squares with what its slope leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .correlations import MIN_POINTS, Interval, Observations, as_floats


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
        n_resamples: Bootstrap resamples of the pairs, for the percentile interval of the slope.
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
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    mean_u, mean_v, mean_uu, mean_uv = (counts @ values / n for values in (u, v, u * u, u * v))
    variance = mean_uu - mean_u * mean_u
    can = variance > 1e-12 * float(u @ u) / n  # not all points of the resample are one
    slopes = (mean_uv - mean_u * mean_v)[can] / variance[can]
    slope = float(u @ v / (u @ u))
    tail = (1 - confidence) / 2
    low, high = (float(q) for q in np.quantile(slopes, [tail, 1 - tail]))
    r2 = float((u @ v) ** 2 / ((u @ u) * (v @ v)))
    return LineFit(Interval(slope, low, high), y_mean - slope * x_mean, r2, n)
