"""Rank correlation of a measure and an outcome with several other quantities held fixed, such as parameters and FLOPs.

Symbol, meaning, shape:

    x, y     measure and outcome; rows with a missing or non-finite member are left out              (n,)
    zs       what is held fixed                                                                      k times (n,)
    counts   how often each row occurs in each resample (see `bootstrap`), rows sum to n             (B, n)

Spearman's partial correlation by its recursion, in which one of the zs after the other is held fixed (w: what was
before it), so that no resample needs a solver:

    r_xy.wz = (r_xy.w - r_xz.w r_yz.w) / √((1 - r_xz.w²)(1 - r_yz.w²))

A z that those before it tell exactly, as parameters do FLOPs in some spaces, changes nothing.

On simulated normal data (correlation 0.49 given two that go together), 95 % intervals held the truth in this share of
400 to 1000 samples:

    observations          10    20    40    80  1000
    spearman            0.95  0.97  0.96  0.95  0.97
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from . import large_samples
from .beside import ALIKE
from .bootstrap import MANY, Array, percentile_intervals
from .correlations import Observations, complete, order_signs, weighted_pearson
from .interval import Interval
from .large_samples import Influenced

MIN_ROWS = 10
_NOTHING = Influenced(0.0, np.zeros(1))


@dataclass(frozen=True, kw_only=True)
class GivenSeveral:
    """What x says of y with others held fixed, for ``n`` rows; None, with the ``reason`` in words, if not known.

    Attributes:
        n: Number of rows.
        spearman: Partial correlation of the ranks, with its interval.
        reason: Why there is none.
    """

    n: int
    spearman: Interval | None = None
    reason: str | None = None


def given_several(
    x: Observations,
    y: Observations,
    zs: Sequence[Observations],
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> GivenSeveral:
    """Return Spearman's partial correlation of x and y given all of zs.

    The interval is a percentile interval over resampled rows, ranked anew; resamples in which the zs tell x or y
    exactly are dropped. Of more than ``bootstrap.MANY`` rows it is what that comes to in large samples.

    Args:
        x: The measure, shape (n,); None and non-finite values are allowed, their rows are left out.
        y: The outcome, shape (n,).
        zs: What is held fixed, each of shape (n,).
        n_resamples: Number of bootstrap resamples, B.
        seed: Seed of the resampling; the same input gives the same interval.
        confidence: Confidence level of the interval.

    Raises:
        ValueError: They differ in length.
    """
    x, y, *others = complete(x, y, *zs)
    n = x.size
    if n < MIN_ROWS:
        return GivenSeveral(n=n, reason=f"too few points: {n}, at least {MIN_ROWS} needed")
    for name, values in (("x", x), ("y", y)):
        if values.min() == values.max():
            return GivenSeveral(n=n, reason=f"{name} is constant: all {n} values are equal")
    columns = [x, y, *(z for z in others if z.min() < z.max())]
    if n > MANY:
        found = _of_many(columns)
        spearman = None if found is None else found.correlation_interval(confidence)
    elif np.isnan(_partial(np.ones((1, n)), columns)).any():
        spearman = None
    else:
        (spearman,) = percentile_intervals(
            lambda counts: _partial(counts, columns),
            n,
            n_resamples=n_resamples,
            seed=seed,
            confidence=confidence,
            are_ranks=(True,),
        )
    reason = "what is held fixed tells x or y exactly" if spearman is None else None
    return GivenSeveral(n=n, spearman=spearman, reason=reason)


def _partial(counts: Array, columns: Sequence[Array]) -> Array:
    """Return the partial correlation of the first two columns in every resample, shape (B,); NaN where there is none.

    A resample of as many different rows as columns or fewer is fitted by anything, and has none either.
    """
    ranks = [counts @ order_signs(values) for values in columns]
    r = {(i, j): weighted_pearson(counts, ranks[i], ranks[j]) for i, j in _pairs(len(columns))}
    for z in range(len(columns) - 1, 1, -1):
        for i, j in _pairs(z):
            r_iz, r_jz = r[i, z], r[j, z]
            left_i, left_j = 1 - r_iz**2, 1 - r_jz**2
            is_told = ((left_i <= ALIKE) & (i > 1)) | (
                (left_j <= ALIKE) & (j > 1)
            )  # another z, nothing of which is left
            left = np.where((left_i <= ALIKE) | (left_j <= ALIKE), np.nan, left_i * left_j)
            given = np.where(is_told, 0.0, (r[i, j] - r_iz * r_jz) / np.sqrt(left))
            r[i, j] = np.where(np.isnan(r_iz) | np.isnan(r_jz), r[i, j], given)  # one of them is constant here
    n_different = np.count_nonzero(counts, axis=1)
    return np.where(n_different > len(columns), np.clip(r[0, 1], -1.0, 1.0), np.nan)


def _of_many(columns: Sequence[Array]) -> Influenced | None:
    """Return the partial correlation of the first two columns; None where there is none."""
    r = {(i, j): large_samples.spearman(columns[i], columns[j]) for i, j in _pairs(len(columns))}
    for z in range(len(columns) - 1, 1, -1):
        is_told = [1 - r[i, z].value ** 2 <= ALIKE for i in range(z)]
        if is_told[0] or is_told[1]:
            return None
        for i, j in _pairs(z):
            nothing_left = is_told[i] or is_told[j]
            r[i, j] = _NOTHING if nothing_left else large_samples.partial(r[i, j], r[i, z], r[j, z])[0]
    return r[0, 1]


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    return combinations(range(n), 2)
