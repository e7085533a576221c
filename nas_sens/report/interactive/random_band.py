"""How good the best of so many random networks would have been, as the control group tells it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.candidates import TrainedCandidate
from ...core.figures import Objective

LEAST = 3  # networks of the control group, for a band


@dataclass(frozen=True, kw_only=True)
class Band:
    """The best of k random networks, for k from 1 to the size of the control group.

    Attributes:
        low: Its 10 % quantile, shape (m,), in the unit of the figure; so the others.
        median: Its median.
        high: Its 90 % quantile.
    """

    low: np.ndarray
    median: np.ndarray
    high: np.ndarray


def best_so_far(trained: Sequence[TrainedCandidate], by: Objective) -> np.ndarray:
    """Return the best figure found after each training, in the order of trials; NaN before there is one.

    Trainings that failed or were pruned count, as they cost time, too.
    """
    losses = [
        loss_of_training(t, by) for t in sorted(trained, key=lambda t: (t.number is None, t.number or 0, t.digest))
    ]
    best = np.minimum.accumulate(np.array(losses, dtype=np.float64)) if losses else np.empty(0)
    return np.where(np.isfinite(best), by.as_loss(1.0) * best, np.nan)


def random_band(control: Sequence[TrainedCandidate], by: Objective) -> Band | None:
    """Return the quantiles of the best of k draws from the control group, with replacement; None for too few.

    That the best of k is worse than v has the probability (share worse than v)^k, so nothing is drawn. A training that
    failed counts as the worst that
    did not. Beyond the size of the group nothing is known, so the band ends there.
    """
    m = len(control)
    losses = np.sort([v for t in control if (v := loss_of_training(t, by)) < math.inf])
    if len(losses) < LEAST:
        return None

    def quantile(q: float) -> np.ndarray:
        shares = 1.0 - (1.0 - q) ** (1.0 / np.arange(1, m + 1))  # of the group, from its best
        places = np.ceil(shares * m - 1e-9).astype(int) - 1
        return by.as_loss(1.0) * losses[np.minimum(places, len(losses) - 1)]

    return Band(low=quantile(0.1), median=quantile(0.5), high=quantile(0.9))


def loss_of_training(t: TrainedCandidate, by: Objective) -> float:
    """Return a number that is smaller for what is better, infinite for a training that failed."""
    value = t.figure(by.name) if t.is_ok else None
    return math.inf if value is None or not math.isfinite(value) else by.as_loss(value)
