"""Pairs of observations in the same and in opposite order, counted in O(n log n)."""

from __future__ import annotations

import numpy as np

from .bootstrap import Array


def concordances(x: Array, y: Array) -> Array:
    """Return Σ_j sign(x_i - x_j) sign(y_i - y_j) of every i, shape (n,).

    In the order of x, both halves of ever larger blocks are compared by binary search, as inversions are counted while
    lists are merged. That gives b_i, the Σ sign(y_i - y_j) over all j before i. Over those behind i it is the rest of
    Σ_j sign(y_i - y_j), with the other sign. Neither holds for equal x, whose part is taken away.

    Args:
        x: Shape (n,), finite.
        y: Shape (n,).
    """
    n, order = x.size, np.lexsort((y, x))
    _, group = np.unique(x[order], return_inverse=True)
    _, level = np.unique(y[order], return_inverse=True)
    place, before = np.arange(n), np.zeros(n, dtype=np.int64)
    width = 1
    while width < n:
        is_second = place // width % 2 == 1
        key = place // (2 * width) * n + level  # one block after the other, each in the order of y
        first, second = np.sort(key[~is_second]), key[is_second]
        start = place[is_second] // (2 * width) * width  # the first half of a block is full where there is a second
        smaller = np.searchsorted(first, second, side="left") - start
        larger = start + width - np.searchsorted(first, second, side="right")
        before[is_second] += smaller - larger
        width *= 2
    _, pair, alike = np.unique(group * n + level, return_inverse=True, return_counts=True)
    equal_x = np.bincount(group)[group] - alike[pair]  # sorted by y, so that each counts as agreeing
    found = np.empty(n)
    found[order] = 2 * before - smaller_less_larger(y[order]) - equal_x
    return found


def smaller_less_larger(values: Array) -> Array:
    """Return how many more values are smaller than larger than each, shape (n,): its mid-rank, centred and doubled."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2.0 * np.cumsum(counts) - counts - values.size)[inverse])


def numbers_equal(values: Array) -> Array:
    """Return how many values equal each, itself among them, shape (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray(counts.astype(np.float64)[inverse])


def larger_less_smaller_sums(values: Array, weights: Array) -> Array:
    """Return the sum of the weights of all larger values less that of all smaller ones, for each: shape (n,)."""
    _, inverse = np.unique(values, return_inverse=True)
    sums = np.bincount(inverse, weights)
    up_to = np.cumsum(sums)
    return np.asarray((up_to[-1] - 2 * up_to + sums)[inverse])
