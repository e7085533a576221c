"""The permutation test of two groups' best in bounded memory, where a table of all permutations is too large.

Symbol, meaning, shape:

    v        both groups together, sorted                                       (n,)
    k        size of the smaller group
    places   where in v the members of the smaller group lie                    (B, k)

A permutation is a random choice of k places. The expected best of k drawn from the larger group is a weighted mean of
its values in which the largest weigh nothing, so that only the first places have to be looked at.
"""

from __future__ import annotations

import numpy as np

from .bootstrap import Array

_WORK = 1e8  # permutations times observations
_CELLS = 2**20  # places at once
_FEWEST = 999
_LEFT_OUT = 1e-9  # weight of the values that the expected best leaves out
_EQUAL = 1e-12  # relative; statistics that differ by less are equal, as the last bits of a sum mean nothing


def number_of_permutations(n: int, most: int) -> int:
    """Return how many permutations n observations get: ``most``, or fewer of more than ten thousand."""
    return int(max(_FEWEST, min(most, _WORK // max(1, n))))


def p_value_of_best(a: Array, b: Array, weights: Array, *, n_permutations: int, seed: int) -> float:
    """Return the two-sided p-value of "a and b are drawn alike" by the difference of the best.

    As `scipy.stats.permutation_test` has it: twice the smaller share, the observed one counted among the permuted.

    Args:
        a: Shape (n_a,).
        b: Shape (n_b,).
        weights: Of the sorted values of the larger group in the expected best of as many as the smaller one has.
        n_permutations: How many.
        seed: Of the permutations.
    """
    small, large = (a, b) if a.size < b.size else (b, a)
    pooled, rng = np.sort(np.concatenate([small, large])), np.random.default_rng([seed, 1])
    n, k = pooled.size, small.size
    n_weights = 1 + int(np.searchsorted(np.cumsum(weights), 1 - _LEFT_OUT))
    weights = np.append(weights[:n_weights], 0.0)
    seen = float(small.min() - np.sort(large)[:n_weights] @ weights[:n_weights])
    at_least = at_most = 0
    tolerance = _EQUAL * max(abs(seen), float(np.abs(pooled).max()))
    at_once = max(1, _CELLS // n)
    for start in range(0, n_permutations, at_once):
        rows = range(min(at_once, n_permutations - start))
        places = np.array([rng.choice(n, k, replace=False, shuffle=False) for _ in rows])
        gaps = _gaps_of_best(pooled, places, weights)
        at_least += int((gaps >= seen - tolerance).sum())
        at_most += int((gaps <= seen + tolerance).sum())
    return min(1.0, 2 * (min(at_least, at_most) + 1) / (n_permutations + 1))


def _gaps_of_best(pooled: Array, places: np.ndarray, weights: Array) -> Array:
    """Return the best of the smaller group minus the expected best of the larger one, shape (B,)."""
    n, n_weights = pooled.size, weights.size
    is_small = np.zeros((len(places), n), dtype=bool)
    np.put_along_axis(is_small, places, True, axis=1)
    for n_looked_at in (min(n, 4 * n_weights * n // (n - places.shape[1])), n):
        is_large = ~is_small[:, :n_looked_at]
        number = np.cumsum(is_large, axis=1, dtype=np.int32)
        if number[:, -1].min() >= n_weights - 1:  # then these hold all that weigh anything
            break
    rank = np.minimum(number - 1, n_weights - 1)  # the last one weighs nothing
    best_of_large = np.where(is_large, weights[rank], 0.0) @ pooled[:n_looked_at]
    return np.asarray(pooled[places.min(axis=1)] - best_of_large)
