"""Correlations and running minima, with the uncertainty that few trained networks leave.

Symbol, meaning, shape:

    x, y     paired observations; pairs with a missing or non-finite member are left out            (n,)
    counts   how often each pair occurs in each resample (see `bootstrap`), rows sum to n           (B, n)
    sx, sy   sign(x_i - x_j), sign(y_i - y_j)                                                       (n, n)

All three coefficients of all B resamples are a few matrix products: Kendall's numerator is c'(sx * sy)c, and mid-ranks
are an affine function of c'sx. That takes n² numbers, so of many pairs intervals come from `large_samples` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from . import large_samples
from .bootstrap import MANY, Array, percentile_intervals
from .interval import Interval

MIN_POINTS = 5

Observations = ArrayLike | Sequence[float | None]


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Three correlation coefficients of ``n`` pairs; all None, with the ``reason`` in words, if they cannot be had."""

    n: int
    pearson: Interval | None = None
    spearman: Interval | None = None
    kendall: Interval | None = None
    reason: str | None = None


def correlations(
    x: Observations, y: Observations, *, n_resamples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Correlations:
    """Return Pearson's r, Spearman's rho and Kendall's tau-b of paired observations with bootstrap intervals.

    The intervals are percentile intervals over resampled pairs; resamples in which a variable is constant are dropped.
    How often they hold the truth for few pairs: see `bootstrap`. Of more than ``bootstrap.MANY`` pairs they are what
    these come to in large samples; time then grows as n log n.

    Args:
        x: Shape (n,); None and non-finite values are allowed, their pairs are left out.
        y: Shape (n,).
        n_resamples: Number of bootstrap resamples, B.
        seed: Seed of the resampling; the same input gives the same intervals.
        confidence: Confidence level of the intervals.

    Raises:
        ValueError: ``x`` and ``y`` differ in length.
    """
    x, y = complete(x, y)
    n = x.size
    if n < MIN_POINTS:
        return Correlations(n=n, reason=f"too few points: {n}, at least {MIN_POINTS} needed")
    for name, values in (("x", x), ("y", y)):
        if values.min() == values.max():
            return Correlations(n=n, reason=f"{name} is constant: all {n} values are equal")
    if n > MANY:
        found = (
            large_samples.pearson(standardize(x), standardize(y)),
            large_samples.spearman(x, y),
            large_samples.kendall(x, y),
        )
        pearson, spearman, kendall = (one.correlation_interval(confidence) for one in found)
    else:
        pearson, spearman, kendall = percentile_intervals(
            lambda counts: _coefficients(counts, x, y),
            n,
            n_resamples=n_resamples,
            seed=seed,
            confidence=confidence,
            are_ranks=(False, True, True),
        )
    return Correlations(n=n, pearson=pearson, spearman=spearman, kendall=kendall)


def complete(*rows: Observations) -> list[Array]:
    """Return quantities where all of them are there and finite, each of shape (n,).

    Args:
        *rows: Each of the same shape, at least two; None and non-finite values are allowed.

    Raises:
        ValueError: They differ in length.
    """
    found = [as_floats(values) for values in rows]
    if len({values.size for values in found}) > 1:
        *sizes, last = (str(values.size) for values in found)
        raise ValueError(f"observations must have the same length, got {', '.join(sizes)} and {last}")
    is_there = np.logical_and.reduce([np.isfinite(values) for values in found])
    return [values[is_there] for values in found]


def best_so_far(values: Observations) -> Array:
    """Return the smallest value up to each position, shape (n,); NaN until the first finite value.

    Args:
        values: Shape (n,); None and non-finite values never count as the best.
    """
    observed = as_floats(values)
    return np.fmin.accumulate(np.where(np.isfinite(observed), observed, np.nan))


def log10_or_nan(values: Observations) -> Array:
    """Return log10 of each value, shape (n,); NaN where it is None, zero, negative or not finite."""
    observed = as_floats(values)
    is_positive = np.isfinite(observed) & (observed > 0)
    return np.where(is_positive, np.log10(np.where(is_positive, observed, 1.0)), np.nan)


def as_floats(values: Observations) -> Array:
    """Return the values as an array of shape (n,), NaN for None."""
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _coefficients(counts: Array, x: Array, y: Array) -> Array:
    """Return Pearson, Spearman and Kendall of every resample, shape (3, B); NaN where x or y is constant in it."""
    sx, sy = order_signs(x), order_signs(y)
    # Numbers of pairs in untied order are exact integers, so this finds constant resamples without a tolerance.
    untied_x, untied_y = (((counts @ (s * s)) * counts).sum(axis=1) for s in (sx, sy))
    is_constant = (untied_x == 0) | (untied_y == 0)
    scale = np.sqrt(np.where(is_constant, np.nan, untied_x * untied_y))
    kendall = ((counts @ (sx * sy)) * counts).sum(axis=1) / scale
    pearson = weighted_pearson(counts, standardize(x), standardize(y))
    spearman = weighted_pearson(counts, counts @ sx, counts @ sy)
    return np.where(is_constant, np.nan, np.clip([pearson, spearman, kendall], -1.0, 1.0))


def order_signs(values: Array) -> Array:
    """Return sign(v_i - v_j), shape (n, n); counts times it are the mid-ranks of a resample, but for sign and scale."""
    return np.sign(values[:, None] - values)


def standardize(values: Array) -> Array:
    """Return values at mean 0 and range 1, which changes no coefficient; squares then neither over- nor underflow."""
    scaled = values / np.abs(values).max()
    centred = scaled - scaled.mean()
    return np.asarray(centred / np.ptp(centred))


def weighted_pearson(weights: Array, u: Array, v: Array) -> Array:
    """Return Pearson's r of u and v in every row of weights, shape (B,); u and v have shape (n,) or (B, n)."""
    total = weights.sum(axis=1, keepdims=True)
    u = u - (weights * u).sum(axis=1, keepdims=True) / total
    v = v - (weights * v).sum(axis=1, keepdims=True) / total
    squares = (weights * u * u).sum(axis=1) * (weights * v * v).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # constant rows; the caller drops them
        return np.asarray((weights * u * v).sum(axis=1) / np.sqrt(squares))
