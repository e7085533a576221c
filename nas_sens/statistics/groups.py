"""Two groups of trained networks, selected and control: are their means and their best alike?

A mean has a bootstrap interval and a permutation test. The best of a group has the test alone: a resample never holds
anything better than the best that was seen, so the bootstrap of a minimum is wrong however many resamples it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import large_samples, permutations
from .bootstrap import MANY, Array, percentile_intervals
from .correlations import SIGNIFICANCE, Observations, as_floats
from .interval import Interval

MIN_GROUP = 2
N_PERMUTATIONS = 9999


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Group a against group b, in the unit of the observations; smaller is better.

    Attributes:
        n_a: Observations in a.
        n_b: Observations in b.
        mean_a: Mean of a; None without observations.
        mean_b: Mean of b; None without observations.
        interval: Mean of a minus mean of b with its 95 % bootstrap interval; None if a group is too small.
        p_value: Two-sided p-value of a permutation test of "a and b are drawn alike", by the means; None likewise.
        smallest_p_value: The smallest p-value that groups of these sizes can reach.
        n_best: Size of the smaller group: the best are compared as if so many had been drawn from each.
        best_a: Expected smallest of ``n_best`` drawn from a; its smallest if a is the smaller group; None likewise.
        best_b: So for b.
        best_p_value: As ``p_value``, by ``best_a - best_b``.
        reason: Why there is no interval; None if there is one.
    """

    n_a: int
    n_b: int
    mean_a: float | None = None
    mean_b: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    smallest_p_value: float | None = None
    n_best: int = 0
    best_a: float | None = None
    best_b: float | None = None
    best_p_value: float | None = None
    reason: str | None = None

    @property
    def verdict(self) -> int | None:
        """-1 or +1: a is shown to be smaller or larger than b; 0: not shown; None: too few points to show anything.

        Shown means that the interval of the means excludes zero *and* the permutation test agrees at 5 %: alone, a
        bootstrap of two or three points is far too sure of itself. The best do not count: one test, one verdict.
        """
        if self.interval is None or self.p_value is None or self.smallest_p_value is None:
            return None
        if self.smallest_p_value > SIGNIFICANCE:
            return None
        if self.p_value > SIGNIFICANCE or not self.interval.excludes_zero:
            return 0
        return 1 if self.interval.estimate > 0 else -1


def difference(
    a: Observations, b: Observations, *, n_resamples: int = N_PERMUTATIONS, seed: int = 0, confidence: float = 0.95
) -> Difference:
    """Return how two groups' means and their best differ.

    Args:
        a: Shape (n_a,); None and non-finite values are left out.
        b: Shape (n_b,).
        n_resamples: Number of resamples and of permutations; a test is exact if there are no more permutations. More
            than ``bootstrap.MANY`` observations need no resamples, and fewer permutations if they are very many.
        seed: Seed of both; the same input gives the same result.
        confidence: Confidence level of the interval.
    """
    a, b = (np.sort(values[np.isfinite(values)]) for values in (as_floats(a), as_floats(b)))
    mean_a, mean_b = (float(values.mean()) if values.size else None for values in (a, b))
    if min(a.size, b.size) < MIN_GROUP:
        reason = f"too few points: {a.size} against {b.size}, at least {MIN_GROUP} in each group needed"
        return Difference(n_a=a.size, n_b=b.size, mean_a=mean_a, mean_b=mean_b, reason=reason)
    is_many = a.size + b.size > MANY
    interval, p_value, best_p_value = (_of_many if is_many else _of_few)(
        a, b, n_resamples=n_resamples, seed=seed, confidence=confidence
    )
    n_best = min(a.size, b.size)
    return Difference(
        n_a=a.size,
        n_b=b.size,
        mean_a=mean_a,
        mean_b=mean_b,
        interval=interval,
        p_value=p_value,
        smallest_p_value=2 / math.comb(a.size + b.size, a.size),
        n_best=n_best,
        best_a=float(expected_best(a, n_best)),
        best_b=float(expected_best(b, n_best)),
        best_p_value=best_p_value,
    )


def _of_few(a: Array, b: Array, *, n_resamples: int, seed: int, confidence: float) -> tuple[Interval, float, float]:
    """Return the interval of the difference of means, and p-values by means and by the best."""
    from scipy import stats  # takes a second, which reports of few networks can save

    (interval,) = percentile_intervals(
        lambda of_a, of_b: of_a @ a / a.size - of_b @ b / b.size,
        a.size,
        b.size,
        n_resamples=n_resamples,
        seed=seed,
        confidence=confidence,
    )
    p_value, best_p_value = (
        float(
            stats.permutation_test(
                (a, b),
                statistic,
                n_resamples=n_resamples,
                vectorized=True,
                random_state=np.random.default_rng([seed, 1]),
            ).pvalue
        )
        for statistic in (_difference_of_means, _difference_of_best)
    )
    return interval, p_value, best_p_value


def _of_many(a: Array, b: Array, *, n_resamples: int, seed: int, confidence: float) -> tuple[Interval, float, float]:
    """Return what :func:`_of_few` does, in time that grows with the number of observations and in bounded memory."""
    n_permutations = permutations.number_of_permutations(a.size + b.size, n_resamples)
    weights = weights_of_best(max(a.size, b.size), min(a.size, b.size))
    p_value, best_p_value = permutations.p_values(a, b, weights, n_permutations=n_permutations, seed=seed)
    return large_samples.mean_difference(a, b).interval(confidence), p_value, best_p_value


def expected_best(values: Array, k: int, axis: int = -1) -> Array:
    """Return the expected smallest of ``k`` values drawn without replacement; the smallest if ``k`` is all of them.

    Args:
        values: Values along ``axis``, at least ``k``.
        k: Number of values drawn.
        axis: The axis that is reduced.
    """
    weights = weights_of_best(values.shape[axis], k)
    return np.asarray(np.moveaxis(np.sort(values, axis=axis), axis, -1) @ weights)


@lru_cache(maxsize=4)
def weights_of_best(n: int, k: int) -> Array:
    """Return how often each of n values, smallest first, is the smallest of k drawn without replacement, shape (n,).

    The i-th is in C(n - i, k - 1) of the C(n, k) draws, and in (n - i - k + 1) / (n - i) times as many the next one.
    """
    i = np.arange(1, n)
    return k / n * np.append(1.0, np.cumprod(np.maximum(n - i - k + 1, 0) / (n - i)))


def _difference_of_means(a: Array, b: Array, axis: int = -1) -> Array:
    return np.asarray(a.mean(axis=axis) - b.mean(axis=axis))


def _difference_of_best(a: Array, b: Array, axis: int = -1) -> Array:
    k = min(a.shape[axis], b.shape[axis])
    return expected_best(a, k, axis) - expected_best(b, k, axis)
