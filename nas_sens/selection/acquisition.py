"""What makes a candidate worth training: it may improve on the best.

Symbol, meaning, shape:

    mean, sd    predicted outcome, smaller is better                                               (N,)
    best        the best outcome so far
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


def expected_improvement(mean: ArrayLike, sd: ArrayLike, best: ArrayLike) -> Array:
    """Return E max(best − y, 0) of normal y (Jones et al. 1998, eq. 15); shapes are broadcast."""
    mean, sd = np.asarray(mean, dtype=np.float64), np.asarray(sd, dtype=np.float64)
    gain = np.asarray(best, dtype=np.float64) - mean
    u = gain / np.maximum(sd, 1e-12)
    density = np.exp(-np.square(np.clip(u, -40, 40)) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(np.maximum(gain * ndtr(u) + sd * density, 0.0))


def expected_hypervolume_improvement(
    mean: Array, sd: Array, cost: Array, *, known_outcomes: Array, known_costs: Array, reference: tuple[float, float]
) -> Array:
    """Return the expected growth of the area that (outcome, cost) pairs dominate, for known costs; shape (N,).

    With the cost c of a candidate known, the area grows by ∫ max(b(t) − y, 0) dt over costs t from c to that of the
    reference, where b(t) is the best known outcome at a cost of at most t: a sum of expected improvements over the
    steps of b.

    Args:
        mean: Predicted outcomes, shape (N,).
        sd: Their standard deviations, shape (N,).
        cost: Known costs, shape (N,).
        known_outcomes: Outcomes of trained candidates, shape (n,).
        known_costs: Their costs, shape (n,).
        reference: Outcome and cost that improvements are counted from; nothing worse counts.
    """
    order = np.argsort(known_costs, kind="stable")
    steps = np.concatenate([[-np.inf], known_costs[order]])
    best = np.minimum.accumulate(np.concatenate([[reference[0]], known_outcomes[order]]))
    is_step = np.append(True, best[1:] < best[:-1])
    starts, best = steps[is_step], best[is_step]
    ends = np.minimum(np.append(starts[1:], reference[1]), reference[1])
    widths = np.maximum(ends - np.maximum(starts, cost[:, None]), 0.0)
    return np.asarray((widths * expected_improvement(mean[:, None], sd[:, None], best)).sum(axis=1))
