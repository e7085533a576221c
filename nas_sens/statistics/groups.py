"""Two groups of trained networks, selected and control: are they alike, and are their best?

Which is better is decided by ranks, with the interval that belongs to the test (see `rank_shift`). The best of a group
has a permutation test alone: a resample never holds anything better than the best that was seen, so the bootstrap of a
minimum is wrong however many resamples it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import permutations
from .bootstrap import MANY, Array
from .correlations import Observations, as_floats
from .interval import Interval
from .rank_shift import rank_shift

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
        shift: Median of all differences of one of a and one of b; None if a group has fewer than ``MIN_GROUP``.
        interval: It with its 95 % interval; None if groups of these sizes can show nothing, whatever they hold.
        p_value: Two-sided p-value of "a and b are drawn alike", by ranks; None as ``shift``.
        smaller: Share of the pairs in which the one of a is smaller, ties counting half; None likewise.
        n_best: Size of the smaller group: the best are compared as if so many had been drawn from each.
        best_a: Expected smallest of ``n_best`` drawn from a; its smallest if a is the smaller group; None likewise.
        best_b: So for b.
        best_p_value: Of a permutation test, by ``best_a - best_b``.
        reason: Why there is no interval; None if there is one.
    """

    n_a: int
    n_b: int
    mean_a: float | None = None
    mean_b: float | None = None
    shift: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    smaller: float | None = None
    n_best: int = 0
    best_a: float | None = None
    best_b: float | None = None
    best_p_value: float | None = None
    reason: str | None = None

    @property
    def verdict(self) -> int | None:
        """-1 or +1: a is shown to be smaller or larger than b; 0: not shown; None: too few points to show anything.

        Shown means that the interval excludes zero, which is the same as that the test does; the best do not count.
        """
        if self.interval is None:
            return None
        return 0 if not self.interval.excludes_zero else 1 if self.interval.low > 0 else -1


def difference(a: Observations, b: Observations, *, n_resamples: int = N_PERMUTATIONS, seed: int = 0) -> Difference:
    """Return how two groups and their best differ.

    Args:
        a: Shape (n_a,); None and non-finite values are left out.
        b: Shape (n_b,).
        n_resamples: Number of permutations of the best; the test is exact if there are no more. More than
            ``bootstrap.MANY`` observations have fewer if they are very many.
        seed: Seed of them; the same input gives the same result.
    """
    a, b = (np.sort(values[np.isfinite(values)]) for values in (as_floats(a), as_floats(b)))
    mean_a, mean_b = (float(values.mean()) if values.size else None for values in (a, b))
    few = f"too few points: {a.size} against {b.size}"
    if min(a.size, b.size) < MIN_GROUP:
        reason = f"{few}, at least {MIN_GROUP} in each group needed"
        return Difference(n_a=a.size, n_b=b.size, mean_a=mean_a, mean_b=mean_b, reason=reason)
    found = rank_shift(a, b)
    n_best = min(a.size, b.size)
    return Difference(
        n_a=a.size,
        n_b=b.size,
        mean_a=mean_a,
        mean_b=mean_b,
        shift=found.estimate,
        interval=found.interval,
        p_value=found.p_value,
        smaller=found.smaller,
        n_best=n_best,
        best_a=float(expected_best(a, n_best)),
        best_b=float(expected_best(b, n_best)),
        best_p_value=_p_of_best(a, b, n_resamples=n_resamples, seed=seed),
        reason=None if found.interval else f"{few}, which can show nothing, whatever they hold; 4 against 4 can",
    )


def _p_of_best(a: Array, b: Array, *, n_resamples: int, seed: int) -> float:
    if a.size + b.size > MANY:
        n_permutations = permutations.number_of_permutations(a.size + b.size, n_resamples)
        weights = weights_of_best(max(a.size, b.size), min(a.size, b.size))
        return permutations.p_value_of_best(a, b, weights, n_permutations=n_permutations, seed=seed)
    from scipy import stats  # takes a second, which reports of few networks can save

    rng = np.random.default_rng([seed, 1])
    test = stats.permutation_test(
        (a, b), _difference_of_best, n_resamples=n_resamples, vectorized=True, random_state=rng
    )
    return float(test.pvalue)


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


def _difference_of_best(a: Array, b: Array, axis: int = -1) -> Array:
    k = min(a.shape[axis], b.shape[axis])
    return expected_best(a, k, axis) - expected_best(b, k, axis)
