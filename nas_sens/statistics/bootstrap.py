"""The one bootstrap: percentile intervals over resampled observations, of any statistic that can be had from counts.

Symbol, meaning, shape:

    n        observations of a sample
    counts   how often each observation occurs in each resample, rows sum to n                      (B, n)

A resample *is* its counts, by which means, lines and rank correlations of all resamples are a few matrix products.
`scipy.stats.bootstrap` gathers every resample instead, and ranks it anew: with its coefficients, the correlations of 60
pairs take 300 times as long. It also gives NaN as soon as one resample has no value; here such resamples are dropped.

Percentile intervals of few observations are too narrow, those of rank correlations excepted: their ends are moved out
to those of Student's interval of a mean (`expanded_tail`). On simulated normal data, 95 % intervals of 2000 resamples
held the truth in this share of 2000 samples (correlations 0.6, reliability 0.75); before, of 5 to 12 observations, in
0.82 to 0.92:

    observations               5     8    20    60
    mean                    0.92  0.94  0.95  0.95
    difference of means     0.93  0.93  0.94  0.95
    ratio of means          0.93  0.94  0.95  0.95
    slope of a line         0.98  0.97  0.95  0.94
    pearson                 0.95  0.97  0.94  0.94
    spearman                0.93  0.97  0.96  0.95
    kendall                 0.93  0.97  0.96  0.95
    reliability             0.83  0.90  0.93  0.94
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from .interval import Interval

MANY = 512  # observations beyond which intervals come from `large_samples`, which gets by without resamples

Array = NDArray[np.float64]
Statistic = Callable[..., Array]  # one array of counts (B, n) per sample -> values (B,), or (k, B) of k statistics

_CELLS = 2**19  # counts at once, 4 MiB: statistics have a handful of arrays as large


def percentile_intervals(
    statistic: Statistic,
    *sizes: int,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    are_ranks: Sequence[bool] = (),
) -> list[Interval]:
    """Return each of k statistics with its percentile interval, expanded where few observations ask for it.

    Args:
        statistic: Takes the counts (B, n) of one sample or several; NaN where a resample has no value, such as the
            correlation of equal pairs: it is dropped.
        sizes: Number of observations of each sample, n; samples are resampled independently of each other.
        n_resamples: Number of resamples, B.
        seed: Seed of the resampling; the same input gives the same intervals.
        confidence: Confidence level of the intervals.
        are_ranks: Which of the statistics are of ranks: their intervals are wide enough as they are. None, if empty.
    """
    estimates = np.atleast_2d(statistic(*(np.ones((1, n)) for n in sizes)))[:, 0]
    values = np.hstack([np.atleast_2d(statistic(*counts)) for counts in resamples(*sizes, n=n_resamples, seed=seed)])
    plain, expanded = (1 - confidence) / 2, expanded_tail(*sizes, confidence=confidence)
    tails = [plain if is_rank else expanded for is_rank in are_ranks or [False] * len(values)]
    ends = [np.nanquantile(row, [tail, 1 - tail]) for row, tail in zip(values, tails, strict=True)]
    return [Interval(float(value), *map(float, pair)) for value, pair in zip(estimates, ends, strict=True)]


def expanded_tail(*sizes: int, confidence: float = 0.95) -> float:
    """Return the share of resamples beyond either end of an interval, Φ(−t √(n / (n − 1))).

    Source: Hesterberg, What teachers should know about the bootstrap, arXiv:1411.5279, section 4.2 (eq. 13): of a mean
    it makes about Student's interval. t has n − 1 degrees of freedom; those of several samples are added, and n is the
    smallest of them.

    Args:
        sizes: Number of observations of each sample, at least two.
        confidence: Confidence level of the interval.
    """
    n, freedom = min(sizes), sum(size - 1 for size in sizes)
    return float(ndtr(stdtrit(freedom, (1 - confidence) / 2) * np.sqrt(n / (n - 1))))


def mean_interval(values: Array, *, n_resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of values (n,) with its 95 % percentile interval, or what that comes to of many values."""
    if values.size > MANY:
        from .large_samples import mean_difference  # which builds on this module

        return mean_difference(values, np.zeros(1)).interval(0.95)

    def mean(counts: Array) -> Array:
        return np.asarray(counts @ values / values.size)

    return percentile_intervals(mean, values.size, n_resamples=n_resamples, seed=seed)[0]


def resamples(*sizes: int, n: int, seed: int) -> Iterator[list[Array]]:
    """Yield the counts of ``n`` resamples of every sample, some at a time so that memory stays bounded.

    How many at a time changes nothing: each sample has a stream of random numbers of its own.
    """
    streams = [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,))) for i in range(len(sizes))]
    at_once = max(1, _CELLS // sum(sizes))
    for start in range(0, n, at_once):
        yield [_drawn(size, min(at_once, n - start), rng) for size, rng in zip(sizes, streams, strict=True)]


def _drawn(n: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Return how often each of n observations is drawn (B, n), in n draws with replacement for each resample."""
    cells = rng.integers(n, size=(n_resamples, n))
    cells += n * np.arange(n_resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=cells.size).reshape(n_resamples, n).astype(np.float64)
