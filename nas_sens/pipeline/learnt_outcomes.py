"""What a rule that learns is told of trainings, in the unit of its target; infinitely bad where training failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..core.candidates import TrainedCandidate
from ..core.figures import Objective


class LearntOutcomes:
    """Outcomes of the trainings before a round.

    Args:
        trained: The trainings.
        objective: The figure that the rule makes better.
    """

    def __init__(self, trained: Sequence[TrainedCandidate], objective: Objective) -> None:
        self._objective = objective
        self._finished = [t for t in trained if t.is_ok and t.figure(objective.name) is not None]
        self._at_epoch = lru_cache(maxsize=None)(self._compared_at)  # thousands are pruned, after few different epochs

    def of(self, trial: TrainedCandidate) -> float:
        """Return the outcome of a training.

        A pruned training counts as the finished one that had its rank among them when it was pruned.
        """
        return self._objective.as_loss(self._loss_of(trial))

    def _loss_of(self, trial: TrainedCandidate) -> float:
        """Return the outcome, with the sign changed where the objective is made large."""
        if trial.is_ok:
            return self._outcome(trial)
        if not trial.is_pruned or not trial.curve:
            return math.inf
        losses, outcomes = self._at_epoch(trial.curve_of, len(trial.curve))
        if not losses.size:
            return math.inf
        last = self._on_curve(trial, -1)
        n_better = 0 if math.isnan(last) else int(np.searchsorted(losses, last, side="left"))
        return float(np.quantile(outcomes, n_better / losses.size))

    def _outcome(self, trial: TrainedCandidate) -> float:
        value = trial.figure(self._objective.name)
        return math.inf if value is None else self._objective.as_loss(value)

    def _on_curve(self, trial: TrainedCandidate, place: int) -> float:
        value = trial.curve[place]
        return self._objective.as_loss(value) if trial.curve_of == self._objective.name else value

    def _compared_at(self, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses after epoch n of those that got so far, sorted, and their outcomes, in any order."""
        there = [t for t in self._finished if t.curve_of == name and len(t.curve) >= n]
        return np.sort([self._on_curve(t, n - 1) for t in there]), np.array([self._outcome(t) for t in there])


def standard_error(trial: TrainedCandidate, target: str) -> float | None:
    """Return the standard error of an outcome over seeds; None with one seed."""
    sd = trial.figure_sd(target)
    return None if sd is None else sd / math.sqrt(trial.n_seeds)


def outcomes_of(trained: Sequence[TrainedCandidate], objective: Objective) -> dict[str, float]:
    """Return digest to outcome of trainings, in the unit of the objective and its own direction."""
    learnt = LearntOutcomes(trained, objective)
    return {t.digest: learnt.of(t) for t in trained}


def noise_of(trained: Sequence[TrainedCandidate], target: str) -> dict[str, float]:
    """Return digest to standard error of the outcome, of trainings with several seeds."""
    return {t.digest: s for t in trained if (s := standard_error(t, target)) is not None}
