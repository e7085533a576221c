"""What a rule that learns is told of trainings: smaller is better, infinite where training failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..core.candidates import TrainedCandidate


class LearntOutcomes:
    """Outcomes of the trainings before a round.

    Args:
        trained: The trainings.
        target: The figure that the rule makes small.
    """

    def __init__(self, trained: Sequence[TrainedCandidate], target: str) -> None:
        self._target = target
        self._finished = [t for t in trained if t.is_ok and getattr(t, target) is not None]
        self._at_epoch = lru_cache(maxsize=None)(self._compared_at)  # thousands are pruned, after few different epochs

    def of(self, trial: TrainedCandidate) -> float:
        """Return the outcome of a training.

        A pruned training counts as the finished one that had its rank among them when it was pruned.
        """
        if trial.is_ok:
            value: float | None = getattr(trial, self._target)
            return math.inf if value is None else value
        if not trial.is_pruned or not trial.curve:
            return math.inf
        losses, outcomes = self._at_epoch(len(trial.curve))
        if not losses.size:
            return math.inf
        last = trial.curve[-1]
        n_better = 0 if math.isnan(last) else int(np.searchsorted(losses, last, side="left"))
        return float(np.quantile(outcomes, n_better / losses.size))

    def _compared_at(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses after epoch n of those that got so far, sorted, and their outcomes, in any order."""
        there = [t for t in self._finished if len(t.curve) >= n]
        return np.sort([t.curve[n - 1] for t in there]), np.array([getattr(t, self._target) for t in there])


def standard_error(trial: TrainedCandidate, target: str) -> float | None:
    """Return the standard error of an outcome over seeds; None with one seed."""
    sd: float | None = getattr(trial, f"{target}_sd")
    return None if sd is None else sd / math.sqrt(trial.n_seeds)
