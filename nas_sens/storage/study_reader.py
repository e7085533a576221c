"""What a study holds, read again and again: only what is new or was unfinished is looked at."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from ..core.candidates import FAILED_IN, ScoredCandidate, TrainedCandidate, Underway
from . import bulk_read
from .bulk_read import StoredTrial
from .trials import is_scored, is_training, to_scored, to_trained, told_outside

MAX_RETRIES = 3  # of a training whose worker was lost


class StudyReader:
    """The candidates and trainings of one study.

    Args:
        rdb: Optuna's storage without a cache.
        optuna_storage: Optuna's storage, which is read where Optuna's tables are not the known ones.
        study_id: The study's identifier.
        objective: The figure that is the study's objective.
        is_bulk: Whether Optuna's tables are the known ones.

    Attributes:
        candidates: Scored candidates, in the order in which they were stored.
        trained: Finished trainings, in the order of their trials.
        scored: Digests of the scored candidates.
        open: Trainings that are not finished, by identifier of the trial, in the order of their trials.
        lost: Digest to numbers of the trials in which workers were lost that trained it.
        newest: Identifier of the newest trial, -1 for none.
    """

    def __init__(
        self, rdb: RDBStorage, optuna_storage: BaseStorage, study_id: int, *, objective: str, is_bulk: bool
    ) -> None:
        self._rdb, self._optuna_storage, self._study_id = rdb, optuna_storage, study_id
        self._objective, self._is_bulk = objective, is_bulk
        self.candidates: list[ScoredCandidate] = []
        self.trained: list[TrainedCandidate] = []
        self.scored: set[str] = set()
        self.open: dict[int, StoredTrial] = {}
        self.lost: dict[str, list[int]] = {}
        self.newest = -1
        self._failed: dict[str, TrainedCandidate] = {}

    def refresh(self) -> None:
        """Read what is new."""
        with bulk_read.no_collection():
            found = self._read()
        self.newest = max([self.newest, *(t.trial_id for t in found)])
        finished: list[StoredTrial] = []
        for trial in found:
            if is_training(trial.user_attrs):
                if trial.state.is_finished():
                    self.open.pop(trial.trial_id, None)
                    finished.append(trial)
                else:
                    self.open[trial.trial_id] = trial
            elif is_scored(trial.user_attrs) and trial.state.is_finished():
                self.candidates.append(to_scored(trial.number, trial.user_attrs))
                self.scored.add(self.candidates[-1].digest)
        gone = self.open.keys() - {t.trial_id for t in found}  # somebody deleted a trial
        for trial_id in gone:
            del self.open[trial_id]
        self._add(finished)

    def underway(self, *, live: bool = False) -> list[Underway]:
        """Return the trainings that wait or run, in the order of their trials.

        Args:
            live: Whether to read since when they run, and their curves so far.
        """
        running = {i for i, t in self.open.items() if t.state == TrialState.RUNNING} if live else set()
        # Of Optuna's own: a few queries for all of them, where `get_trial` takes six for each.
        read = self._rdb._get_trials(self._study_id, None, running, self.newest) if running else []
        trials = {t._trial_id: t for t in read}
        curves = {i: sorted(t.intermediate_values.items()) for i, t in trials.items()}
        return [
            Underway(
                training=to_trained(t.number, t.user_attrs, {}),
                is_running=t.state == TrialState.RUNNING,
                worker=t.user_attrs.get("worker"),
                started=trials[i].datetime_start if i in trials else None,
                curve=tuple(v for _, v in curves.get(i, ())),
            )
            for i, t in sorted(self.open.items())
        ]

    def _add(self, finished: list[StoredTrial]) -> None:
        curves = self._curves(t.trial_id for t in finished)
        outside = [t for t in finished if "status" not in t.user_attrs and t.state != TrialState.FAIL]
        values = self._values(t.trial_id for t in outside)
        for trial in finished:
            record = to_trained(trial.number, trial.user_attrs, curves.get(trial.trial_id, {}))
            if trial.state == TrialState.FAIL and trial.user_attrs.get("status", "ok") == "ok":
                lost = self.lost.setdefault(record.digest, [])
                lost.append(trial.number)
                if len(lost) <= MAX_RETRIES:
                    continue  # another worker does it again
                record = replace(record, status=f"failed: {len(lost)} workers were lost that trained it")
            elif "status" not in trial.user_attrs:
                record = told_outside(record, trial.state, values.get(trial.trial_id), self._objective)
            if (earlier := self._failed.pop(record.digest, None)) is not None:
                self.trained.remove(earlier)  # it was done again
            if record.status.startswith(FAILED_IN):
                self._failed[record.digest] = record
            bisect.insort(self.trained, record, key=attrgetter("number"))

    def _read(self) -> list[StoredTrial]:
        if self._is_bulk:
            return bulk_read.read_trials(self._rdb, self._study_id, after=self.newest, among=self.open)
        trials = self._optuna_storage.get_all_trials(self._study_id, deepcopy=False)
        new = [t for t in trials if t._trial_id > self.newest or t._trial_id in self.open]
        return [StoredTrial(t._trial_id, t.number, t.state, t.user_attrs) for t in new]

    def _curves(self, trial_ids: Iterable[int]) -> dict[int, dict[int, float]]:
        if self._is_bulk:
            return bulk_read.read_intermediate_values(self._rdb, trial_ids)
        return {i: self._optuna_storage.get_trial(i).intermediate_values for i in trial_ids}

    def _values(self, trial_ids: Iterable[int]) -> dict[int, float]:
        if self._is_bulk:
            return bulk_read.read_values(self._rdb, trial_ids)
        found = ((i, self._optuna_storage.get_trial(i).value) for i in trial_ids)
        return {i: value for i, value in found if value is not None}
