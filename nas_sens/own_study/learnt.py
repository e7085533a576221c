"""A prediction of a study's outcomes by what is known of networks before they are trained, and where one stands in it.

A fit takes up to some seconds. So it is kept until enough further trials have finished, by a count that depends on the
study alone: a machine that has just joined decides as those do that were there all the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..selection.calibration import MIN_OUTCOMES, Calibration, calibrate
from ..selection.candidates import Array, Candidate
from .attributes import is_scored
from .experience import FINISHED, as_candidate, as_key, outcomes, signs

RECENT = 100  # trials that a new one is compared with: proposals get better in the course of a study
_EACH = 16  # trained trials up to which every one is learnt from at once


@dataclass(frozen=True)
class Learnt:
    """One fit for each objective.

    Attributes:
        key: Numbers of the trials that it knows.
        fits: Of each objective.
        recent: Outcomes that were expected of recent trials before they were trained, smaller being better, shape
            (n_objectives, n).
        signs: What an objective's values are multiplied with so that smaller is better.
    """

    key: tuple[int, ...]
    fits: tuple[Calibration, ...]
    recent: Array
    signs: tuple[float, ...]

    def expected(self, candidate: Candidate) -> tuple[Array, Array, Array]:
        """Return what is expected of a network: on the scale of ``recent``, as values of the study, and their sd."""
        z = np.array([_means(fit, [candidate])[0] for fit in self.fits])
        predicted = [fit.predict([candidate]) for fit in self.fits]
        values = np.array([sign * float(p.mean[0]) for sign, p in zip(self.signs, predicted, strict=True)])
        return z, values, np.array([float(p.sd[0]) for p in predicted])


class Memory:
    """Keeps the last fit of a process; another process finds the same by itself."""

    def __init__(self) -> None:
        self._last: Learnt | None = None

    def learnt(self, study: Study) -> tuple[int, Learnt | None]:
        """Return how many of a study's scored trials were trained, and what they teach; None if they are all alike."""
        trials = [t for t in study.get_trials(deepcopy=False, states=FINISHED) if is_scored(t.user_attrs)]
        # In the order in which they ended, so that what is known first stays so while others run.
        trials.sort(key=lambda t: (t.datetime_complete is None, t.datetime_complete, t.number))
        trained = [i for i, t in enumerate(trials) if t.values is not None or t.last_step is not None]
        n = learnt_from(len(trained))
        known = trials[: trained[n - 1] + 1] if n else []
        key = tuple(t.number for t in known)
        if self._last is None or self._last.key != key:
            found = _learn(known, key, signs(study.directions))
            if found is None:
                return len(trained), None
            self._last = found
        return len(trained), self._last


def learnt_from(n_trained: int) -> int:
    """Return from how many of the trained trials is learnt: all of few, then an eighth more at a time."""
    return n_trained if n_trained <= _EACH else n_trained - n_trained % (n_trained // 8)


def _learn(trials: Sequence[FrozenTrial], key: tuple[int, ...], which: Sequence[float]) -> Learnt | None:
    pool = [as_candidate(t) for t in trials]
    by_objective = [outcomes(trials, sign, k) for k, sign in enumerate(which)]
    if any(len(set(found.values())) < MIN_OUTCOMES for found in by_objective):
        return None
    fits = tuple(calibrate(pool, found) for found in by_objective)
    recent = [as_key(t) for t in trials[-RECENT:]]
    known = {c.digest: c for c in pool}
    rows = [
        _before_training(fit, found, [known[key] for key in recent])
        for fit, found in zip(fits, by_objective, strict=True)
    ]
    return Learnt(key, fits, np.array(rows), tuple(which))


def _before_training(fit: Calibration, found: Mapping[str, float], recent: Sequence[Candidate]) -> Array:
    """Return what is expected of candidates, of each without its own outcome."""
    trained = sorted(found)
    left_out = fit.surrogate.left_out_means(fit.warped[fit.learnt])
    by_others = {trained[i]: mean for i, mean in zip(fit.learnt, left_out, strict=True)}
    means = _means(fit, recent)
    return np.array([by_others.get(c.digest, mean) for c, mean in zip(recent, means, strict=True)])


def _means(fit: Calibration, candidates: Sequence[Candidate]) -> Array:
    means, _ = fit.surrogate.predict(fit.place(candidates))
    return np.asarray(fit.surrogate.weights @ means)
