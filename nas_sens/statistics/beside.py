"""What a measure says of an outcome beside a third quantity, usually the number of parameters.

Symbol, meaning, shape:

    x, y, z  measure, outcome, what is held fixed; triples with a missing or non-finite member are left out      (n,)
    counts   how often each triple occurs in each resample (see `bootstrap`), rows sum to n                      (B, n)
    r        correlation coefficients of two of them in every resample                                           (B,)

With only three variables, regression is a function of three correlations, so no resample needs a solver:

    partial correlation of x and y given z    (r_xy - r_xz r_yz) / √((1 - r_xz²)(1 - r_yz²))
    slope of x in y ~ x + z, standardised     (r_xy - r_xz r_yz) / (1 - r_xz²)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import large_samples
from .bootstrap import MANY, Array, percentile_intervals
from .correlations import Observations, complete, order_signs, standardize, weighted_pearson
from .interval import Interval

MIN_TRIPLES = 8  # below, resamples of three different triples, which any plane fits, are no longer rare
MIN_DIFFERENT = 4
ALIKE = 1e-9  # 1 - r² below which two quantities cannot be told apart
_ALIKE_REASON = "z tells x or y exactly, so their shares cannot be told apart"


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What x says of y with z held fixed, for ``n`` triples; all None, with the ``reason`` in words, if not known.

    Attributes:
        n: Number of triples.
        pearson: Partial correlation of the values.
        spearman: Partial correlation of the ranks.
        slope: Standard deviations of y per standard deviation of x in the least-squares fit of y by x and z.
        reason: Why there are no numbers.
    """

    n: int
    pearson: Interval | None = None
    spearman: Interval | None = None
    slope: Interval | None = None
    reason: str | None = None


def beside(
    x: Observations,
    y: Observations,
    z: Observations,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Beside:
    """Return the partial correlations of x and y given z and the standardised slope of x beside z.

    The intervals are percentile intervals over resampled triples, each resample standardised anew; resamples of fewer
    than four different triples, or in which z tells x or y exactly, are dropped. Of more than ``bootstrap.MANY``
    triples they are what these come to in large samples; time then grows as n log n.

    Args:
        x: The measure, shape (n,); None and non-finite values are allowed, their triples are left out.
        y: The outcome, shape (n,).
        z: What is held fixed, shape (n,).
        n_resamples: Number of bootstrap resamples, B.
        seed: Seed of the resampling; the same input gives the same intervals.
        confidence: Confidence level of the intervals.

    Raises:
        ValueError: The three differ in length.
    """
    x, y, z = complete(x, y, z)
    n = x.size
    if n < MIN_TRIPLES:
        return Beside(n=n, reason=f"too few points: {n}, at least {MIN_TRIPLES} needed")
    for name, values in (("x", x), ("y", y), ("z", z)):
        if values.min() == values.max():
            return Beside(n=n, reason=f"{name} is constant: all {n} values are equal")
    if n > MANY:
        return _of_many(x, y, z, confidence)
    if np.isnan(_fits(np.ones((1, n)), x, y, z)).any():
        return Beside(n=n, reason=_ALIKE_REASON)
    pearson, spearman, slope = percentile_intervals(
        lambda counts: _fits(counts, x, y, z),
        n,
        n_resamples=n_resamples,
        seed=seed,
        confidence=confidence,
        are_ranks=(False, True, False),
    )
    return Beside(n=n, pearson=pearson, spearman=spearman, slope=slope)


def _of_many(x: Array, y: Array, z: Array, confidence: float) -> Beside:
    x, y, z = standardize(x), standardize(y), standardize(z)
    pairs = ((x, y), (x, z), (y, z))
    of_values = [large_samples.pearson(u, v) for u, v in pairs]
    of_ranks = [large_samples.spearman(u, v) for u, v in pairs]
    if any(1 - one.value**2 <= ALIKE for found in (of_values, of_ranks) for one in found[1:]):
        return Beside(n=x.size, reason=_ALIKE_REASON)
    (pearson, slope), (spearman, _) = (large_samples.partial(*found) for found in (of_values, of_ranks))
    return Beside(
        n=x.size,
        pearson=pearson.correlation_interval(confidence),
        spearman=spearman.correlation_interval(confidence),
        slope=slope.interval(confidence),
    )


def _fits(counts: Array, x: Array, y: Array, z: Array) -> Array:
    """Return partial Pearson, partial Spearman and the slope of every resample, shape (3, B); NaN without a fit."""
    values = [standardize(v) for v in (x, y, z)]
    mid_ranks = [counts @ order_signs(v) for v in (x, y, z)]
    pearson, slope = _partial(counts, *values)
    spearman, _ = _partial(counts, *mid_ranks)
    return np.where(np.count_nonzero(counts, axis=1) >= MIN_DIFFERENT, [pearson, spearman, slope], np.nan)


def _partial(counts: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
    """Return the partial correlation and the standardised slope of every resample, shapes (B,)."""
    r_xy, r_xz, r_yz = (weighted_pearson(counts, u, v) for u, v in ((x, y), (x, z), (y, z)))
    left_x, left_y = (np.where(1 - r * r > ALIKE, 1 - r * r, np.nan) for r in (r_xz, r_yz))
    shared = r_xy - r_xz * r_yz
    return np.clip(shared / np.sqrt(left_x * left_y), -1.0, 1.0), shared / left_x
