"""Kendall's tau over the pairs of observations that are alike in a third quantity, such as networks of equal size.

Symbol, meaning, shape:

    x, y, z  measure, outcome, what pairs are alike in; triples with a missing or non-finite member are left out    (n,)
    near     whether |z_i - z_j| is small enough for i and j to be compared                                       (n, n)
    sx, sy   sign(x_i - x_j), sign(y_i - y_j)                                                                     (n, n)
    counts   how often each observation occurs in each resample (see `bootstrap`), rows sum to n                  (B, n)

    tau      Σ near sx sy / √(Σ near sx² · Σ near sy²), which is Kendall's tau-b where all pairs are near

An observation and its copy in a resample are tied and count for nothing. Of more than ``bootstrap.MANY`` observations,
which have millions of pairs, each is compared with the ``MOST_PARTNERS`` next larger ones in z at most, and the
interval is that of the infinitesimal jackknife (see `large_samples`); time then grows as n log n.

On simulated normal data (tau 0.33, z uniform, a tenth of all pairs near), 95 % intervals held the truth in this share
of 300 to 1000 samples that had ``MIN_PAIRS`` pairs:

    observations          20    40    80   200  1000
    tau                 0.99  0.99  0.99  0.97  0.96
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bootstrap import MANY, Array, percentile_intervals
from .correlations import Observations, complete, order_signs
from .interval import Interval
from .large_samples import Influenced

MIN_PAIRS = 20
MIN_PAIRED = 8  # observations; below, all pairs are between the same few
MOST_PARTNERS = 64
_SLACK = 1e-9  # of sums of logarithms, so that exactly as far as allowed is near


@dataclass(frozen=True, kw_only=True)
class AmongAlike:
    """What x says of y among pairs alike in z; None, with the ``reason`` in words, if that cannot be said.

    Attributes:
        n: Number of observations that are in such a pair.
        n_pairs: Number of pairs.
        kendall: Kendall's tau over them, with its interval over observations.
        reason: Why there is none.
    """

    n: int
    n_pairs: int
    kendall: Interval | None = None
    reason: str | None = None


def among_alike(
    x: Observations,
    y: Observations,
    z: Observations,
    *,
    within: float,
    n_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> AmongAlike:
    """Return Kendall's tau of x and y over pairs that differ by at most ``within`` in z.

    Args:
        x: The measure, shape (n,); None and non-finite values are allowed, their triples are left out.
        y: The outcome, shape (n,).
        z: What pairs are alike in, shape (n,), such as a logarithm of size.
        within: Largest difference of z within a pair.
        n_resamples: Number of bootstrap resamples, B.
        seed: Seed of the resampling; the same input gives the same interval.
        confidence: Confidence level of the interval.

    Raises:
        ValueError: The three differ in length.
    """
    x, y, z = complete(x, y, z)
    order = np.argsort(z, kind="stable")
    x, y, z = x[order], y[order], z[order]
    if x.size > MANY:
        return _of_many(x, y, z, within, confidence)
    near = (np.abs(z[:, None] - z) <= within + _SLACK) & ~np.eye(x.size, dtype=bool)
    n, n_pairs = int(np.count_nonzero(near.any(axis=1))), int(np.count_nonzero(near)) // 2
    sx, sy = order_signs(x) * near, order_signs(y) * near
    if reason := _why_not(n, n_pairs, bool(sx.any()), bool(sy.any())):
        return AmongAlike(n=n, n_pairs=n_pairs, reason=reason)
    agreements, untied_x, untied_y = sx * sy, sx * sx, sy * sy

    def tau(counts: Array) -> Array:
        above, of_x, of_y = (((counts @ pairs) * counts).sum(axis=1) for pairs in (agreements, untied_x, untied_y))
        is_constant = (of_x == 0) | (of_y == 0)
        return np.asarray(above / np.sqrt(np.where(is_constant, np.nan, of_x * of_y)))

    (kendall,) = percentile_intervals(
        tau, x.size, n_resamples=n_resamples, seed=seed, confidence=confidence, are_ranks=(True,)
    )
    return AmongAlike(n=n, n_pairs=n_pairs, kendall=kendall)


def _of_many(x: Array, y: Array, z: Array, within: float, confidence: float) -> AmongAlike:
    """Return what `among_alike` does of triples in the order of z."""
    agreements, untied_x, untied_y, partners = (np.zeros(x.size) for _ in range(4))
    for k in range(1, MOST_PARTNERS + 1):
        is_near = z[k:] - z[:-k] <= within + _SLACK
        if not is_near.any():
            break
        sx, sy = np.sign(x[k:] - x[:-k]) * is_near, np.sign(y[k:] - y[:-k]) * is_near
        for sums, pairs in ((agreements, sx * sy), (untied_x, sx * sx), (untied_y, sy * sy), (partners, is_near)):
            sums[k:] += pairs
            sums[:-k] += pairs
    n, n_pairs = int(np.count_nonzero(partners)), int(partners.sum()) // 2
    if reason := _why_not(n, n_pairs, bool(untied_x.any()), bool(untied_y.any())):
        return AmongAlike(n=n, n_pairs=n_pairs, reason=reason)
    unit = np.sqrt(untied_x.sum() * untied_y.sum())
    tau = float(agreements.sum() / unit)
    squares = untied_x / untied_x.sum() + untied_y / untied_y.sum()
    found = Influenced(tau, 2 * agreements / unit - tau * squares)
    return AmongAlike(n=n, n_pairs=n_pairs, kendall=found.correlation_interval(confidence))


def _why_not(n: int, n_pairs: int, x_differs: bool, y_differs: bool) -> str | None:
    if n_pairs < MIN_PAIRS or n < MIN_PAIRED:
        return f"too few pairs: {n_pairs} of {n} networks, at least {MIN_PAIRS} of {MIN_PAIRED} needed"
    equal = None if x_differs and y_differs else ("y" if x_differs else "x")
    return f"{equal} is equal within each of {n_pairs} pairs" if equal else None
