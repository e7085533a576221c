"""What a study's trials have taught so far: the outcomes of those that were trained, also of those cut short."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..selection.candidates import Candidate
from .attributes import candidate_of

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def as_candidate(trial: FrozenTrial) -> Candidate:
    """Return a scored trial as selection sees it; its number is its identity."""
    return candidate_of(as_key(trial), trial.user_attrs, trial.params)


def signs(directions: Sequence[StudyDirection]) -> list[float]:
    """Return what values are multiplied with so that smaller is better."""
    return [-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in directions]


def outcomes(trials: Sequence[FrozenTrial], sign: float, objective: int = 0) -> dict[str, float]:
    """Return identity to outcome, smaller being better, of the trials that were trained.

    A training that was pruned has no value. Left out, only the better half would teach; counted as failed, all that
    were pruned would be alike. So it gets the value that a training had which stood as well at the same step:
    interpolated between those that went on, and not better than the worst of them if it stood worse than all. What was
    pruned before its first report was not trained, and teaches nothing.

    Args:
        trials: Finished trials.
        sign: What values are multiplied with.
        objective: Which of several values.
    """
    complete = [t for t in trials if t.state == TrialState.COMPLETE and t.values is not None]
    found = {as_key(t): sign * t.values[objective] for t in complete}
    for t in trials:
        if t.state == TrialState.PRUNED and t.last_step is not None:
            value = sign * t.intermediate_values[t.last_step]
            found[as_key(t)] = _expected_end(value, t.last_step, complete, sign, objective)
    return {key: value for key, value in found.items() if not math.isnan(value) and value > -math.inf}


def as_key(trial: FrozenTrial) -> str:
    """Return a trial's identity among candidates."""
    return f"{trial.number:09d}"


def _expected_end(value: float, step: int, complete: Sequence[FrozenTrial], sign: float, objective: int) -> float:
    there = [t for t in complete if step in t.intermediate_values]
    then = np.sort([sign * t.intermediate_values[step] for t in there])
    ends = np.sort([sign * t.values[objective] for t in there])
    if math.isnan(value) or not len(then) or not np.isfinite(then).all():
        return math.inf
    return float(np.interp(value, then, ends))
