"""Correlations, group differences and running minima, each with the uncertainty that few trained networks leave.

Symbol, meaning, shape:

    x, y     paired observations; pairs with a missing or non-finite member are left out            (n,)
    counts   how often each pair occurs in each bootstrap resample, rows sum to n                   (B, n)
    sx, sy   sign(x_i - x_j), sign(y_i - y_j)                                                       (n, n)

A resample *is* its counts, so all three coefficients of all B resamples are a few matrix products: Kendall's numerator
is c'(sx * sy)c, and mid-ranks are an affine function of c'sx.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

MIN_POINTS = 5
MIN_GROUP = 2
SIGNIFICANCE = 0.05

Array = NDArray[np.float64]
Observations = ArrayLike | Sequence[float | None]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval."""

    estimate: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Three correlation coefficients of ``n`` pairs; all None, with the ``reason`` in words, if they cannot be had."""

    n: int
    pearson: Interval | None = None
    spearman: Interval | None = None
    kendall: Interval | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Mean of group a minus mean of group b, in the unit of the observations.

    Attributes:
        n_a: Observations in a.
        n_b: Observations in b.
        mean_a: Mean of a; None without observations.
        mean_b: Mean of b; None without observations.
        interval: The difference with its 95 % bootstrap interval; None if a group is too small.
        p_value: Two-sided p-value of a permutation test of "a and b are drawn alike"; None if a group is too small.
        smallest_p_value: The smallest p-value that groups of these sizes can reach.
        reason: Why there is no interval; None if there is one.
    """

    n_a: int
    n_b: int
    mean_a: float | None = None
    mean_b: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    smallest_p_value: float | None = None
    reason: str | None = None

    @property
    def verdict(self) -> int | None:
        """-1 or +1: a is shown to be smaller or larger than b; 0: not shown; None: too few points to show anything.

        Shown means that the interval excludes zero *and* the permutation test agrees at 5 %: alone, a bootstrap of two
        or three points is far too sure of itself.
        """
        if self.interval is None or self.p_value is None or self.smallest_p_value is None:
            return None
        if self.smallest_p_value > SIGNIFICANCE:
            return None
        if self.p_value > SIGNIFICANCE or not self.interval.excludes_zero:
            return 0
        return 1 if self.interval.estimate > 0 else -1


def correlations(
    x: Observations, y: Observations, *, n_resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Correlations:
    """Return Pearson's r, Spearman's rho and Kendall's tau-b of paired observations with bootstrap intervals.

    The intervals are percentile intervals over resampled pairs; resamples in which a variable is constant are dropped.
    With fewer than about 20 pairs they are somewhat too narrow. Time and memory grow as n².

    Args:
        x: Shape (n,); None and non-finite values are allowed, their pairs are left out.
        y: Shape (n,).
        n_resamples: Number of bootstrap resamples, B.
        seed: Seed of the resampling; the same input gives the same intervals.
        confidence: Confidence level of the intervals.

    Raises:
        ValueError: ``x`` and ``y`` differ in length.
    """
    x, y = _as_floats(x), _as_floats(y)
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same length, got {x.size} and {y.size}")
    is_pair = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_pair], y[is_pair]
    n = x.size
    if n < MIN_POINTS:
        return Correlations(n=n, reason=f"too few points: {n}, at least {MIN_POINTS} needed")
    for name, values in (("x", x), ("y", y)):
        if values.min() == values.max():
            return Correlations(n=n, reason=f"{name} is constant: all {n} values are equal")
    rng = np.random.default_rng(seed)
    resamples = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
    estimates = _coefficients(np.ones((1, n)), x, y)[:, 0]
    tail = (1 - confidence) / 2
    lows, highs = np.nanquantile(_coefficients(resamples.astype(float), x, y), [tail, 1 - tail], axis=1)
    pearson, spearman, kendall = (Interval(*map(float, row)) for row in zip(estimates, lows, highs, strict=True))
    return Correlations(n=n, pearson=pearson, spearman=spearman, kendall=kendall)


def difference(
    a: Observations, b: Observations, *, n_resamples: int = 9999, seed: int = 0, confidence: float = 0.95
) -> Difference:
    """Return the difference of two groups' means with a bootstrap interval and a permutation-test p-value.

    Args:
        a: Shape (n_a,); None and non-finite values are left out.
        b: Shape (n_b,).
        n_resamples: Number of resamples and of permutations; the test is exact if there are no more permutations.
        seed: Seed of both; the same input gives the same result.
        confidence: Confidence level of the interval.
    """
    a, b = (values[np.isfinite(values)] for values in (_as_floats(a), _as_floats(b)))
    mean_a, mean_b = (float(values.mean()) if values.size else None for values in (a, b))
    if min(a.size, b.size) < MIN_GROUP:
        reason = f"too few points: {a.size} against {b.size}, at least {MIN_GROUP} in each group needed"
        return Difference(n_a=a.size, n_b=b.size, mean_a=mean_a, mean_b=mean_b, reason=reason)
    bootstrap = stats.bootstrap(
        (a, b),
        _difference_of_means,
        n_resamples=n_resamples,
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng([seed, 0]),
    )
    permutation = stats.permutation_test(
        (a, b),
        _difference_of_means,
        n_resamples=n_resamples,
        vectorized=True,
        random_state=np.random.default_rng([seed, 1]),
    )
    low, high = map(float, bootstrap.confidence_interval)
    return Difference(
        n_a=a.size,
        n_b=b.size,
        mean_a=mean_a,
        mean_b=mean_b,
        interval=Interval(float(a.mean() - b.mean()), low, high),
        p_value=float(permutation.pvalue),
        smallest_p_value=2 / math.comb(a.size + b.size, a.size),
    )


def best_so_far(values: Observations) -> Array:
    """Return the smallest value up to each position, shape (n,); NaN until the first finite value.

    Args:
        values: Shape (n,); None and non-finite values never count as the best.
    """
    observed = _as_floats(values)
    return np.fmin.accumulate(np.where(np.isfinite(observed), observed, np.nan))


def log10_or_nan(values: Observations) -> Array:
    """Return log10 of each value, shape (n,); NaN where it is None, zero, negative or not finite."""
    observed = _as_floats(values)
    is_positive = np.isfinite(observed) & (observed > 0)
    return np.where(is_positive, np.log10(np.where(is_positive, observed, 1.0)), np.nan)


def _as_floats(values: Observations) -> Array:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _difference_of_means(a: Array, b: Array, axis: int = -1) -> Array:
    return np.asarray(a.mean(axis=axis) - b.mean(axis=axis))


def _coefficients(counts: Array, x: Array, y: Array) -> Array:
    """Return Pearson, Spearman and Kendall of every resample, shape (3, B); NaN where x or y is constant in it."""
    sx, sy = (np.sign(values[:, None] - values) for values in (x, y))
    # Numbers of pairs in untied order are exact integers, so this finds constant resamples without a tolerance.
    untied_x, untied_y = (((counts @ (s * s)) * counts).sum(axis=1) for s in (sx, sy))
    is_constant = (untied_x == 0) | (untied_y == 0)
    scale = np.sqrt(np.where(is_constant, np.nan, untied_x * untied_y))
    kendall = ((counts @ (sx * sy)) * counts).sum(axis=1) / scale
    pearson = _weighted_pearson(counts, _standardize(x), _standardize(y))
    spearman = _weighted_pearson(counts, counts @ sx, counts @ sy)
    return np.where(is_constant, np.nan, np.clip([pearson, spearman, kendall], -1.0, 1.0))


def _standardize(values: Array) -> Array:
    """Return values at mean 0 and range 1, which changes no coefficient; squares then neither over- nor underflow."""
    scaled = values / np.abs(values).max()
    centred = scaled - scaled.mean()
    return np.asarray(centred / np.ptp(centred))


def _weighted_pearson(weights: Array, u: Array, v: Array) -> Array:
    """Return Pearson's r of u and v in every row of weights, shape (B,); u and v have shape (n,) or (B, n)."""
    total = weights.sum(axis=1, keepdims=True)
    u = u - (weights * u).sum(axis=1, keepdims=True) / total
    v = v - (weights * v).sum(axis=1, keepdims=True) / total
    squares = (weights * u * u).sum(axis=1) * (weights * v * v).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # constant rows; the caller drops them
        return np.asarray((weights * u * v).sum(axis=1) / np.sqrt(squares))
