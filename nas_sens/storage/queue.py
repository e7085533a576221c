"""The queue of a study's trainings: its waiting trials, each started by whoever is first to set its state.

A worker shows by heartbeats that a training runs; where none comes for the grace time, whoever notices fails the trial,
as Optuna's own workers do. The next plan lets the training wait again as a new trial, which says in ``retry_history``
what it repeats. A worker that was away so long and comes back finds its trial failed, and stores nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

from ..core.candidates import TrainedCandidate
from . import bulk_read, bulk_write, running_trials
from .optuna_log import expected_experiments
from .study_reader import StudyReader
from .trials import finished_trial, waiting_trial

MOST_WAITING = 64  # Optuna reads all waiting trials at every call
Suggested = dict[int, tuple[dict[str, Any], dict[str, BaseDistribution]]]


@dataclass
class Claim:
    """A training that runs here.

    Attributes:
        trial_id: Its trial's identifier.
        training: What is known of it beforehand.
        is_lost: Whether its trial was failed meanwhile, as no heartbeat came; nothing is stored then.
    """

    trial_id: int
    training: TrainedCandidate
    is_lost: bool = False
    _values: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def report(self, epoch: int, value: float) -> None:
        """Remember an intermediate value, which is stored with the next heartbeat."""
        with self._lock:
            self._values[epoch] = value

    def reported(self) -> dict[int, float]:
        """Return what was reported since this was asked last."""
        with self._lock:
            values, self._values = self._values, {}
        return values


class Queue:
    """The trainings of the studies of one database that wait, run and finish.

    Args:
        rdb: Optuna's storage without a cache.
        optuna_storage: Optuna's storage.
        worker: Name of this worker.
        is_bulk: Whether Optuna's tables are the known ones.

    Attributes:
        claims: What runs here.
    """

    def __init__(self, rdb: RDBStorage, optuna_storage: BaseStorage, *, worker: str, is_bulk: bool) -> None:
        self._rdb, self._optuna_storage, self._worker, self._is_bulk = rdb, optuna_storage, worker, is_bulk
        self.claims: list[Claim] = []

    def add(
        self, study_id: int, trainings: Sequence[TrainedCandidate], *, lost: Mapping[str, list[int]], newest: int
    ) -> int:
        """Return the number of trainings that wait now, none if the study's newest trial is another one.

        Args:
            study_id: The study's identifier.
            trainings: What is known of them beforehand.
            lost: Digest to numbers of trials in which a candidate was trained by workers that were lost.
            newest: Identifier of the newest trial by which they were planned.
        """
        suggested = self.suggested(study_id, [t.candidate for t in trainings])
        trials = [waiting_trial(t, *suggested[t.candidate], earlier=lost.get(t.digest)) for t in trainings]
        return self._insert(study_id, trials, newest)

    def add_finished(self, study_id: int, trainings: Sequence[TrainedCandidate], objective: str, *, newest: int) -> int:
        """Return the number of finished trainings that were stored, none if the study's newest trial is another one."""
        suggested = self.suggested(study_id, [t.candidate for t in trainings])
        trials = [finished_trial(t, objective, {}, *suggested[t.candidate]) for t in trainings]
        return self._insert(study_id, trials, newest)

    def _insert(self, study_id: int, trials: Sequence[FrozenTrial], newest: int) -> int:
        if self._is_bulk:
            return len(bulk_write.insert_trials(self._rdb, study_id, trials, only_if_newest=newest))
        there = self._optuna_storage.get_all_trials(study_id, deepcopy=False)
        if max((t._trial_id for t in there), default=-1) != newest:
            return 0
        for trial in trials:
            self._optuna_storage.create_new_trial(study_id, trial)
        return len(trials)

    def take(self, reader: StudyReader) -> Claim | None:
        """Return the first waiting training that nobody else has started, running now; None if none waits."""
        for trial_id, trial in sorted(reader.open.items()):
            if trial.state == TrialState.WAITING and self._start(trial_id):
                waiting = {t.training.number: t.training for t in reader.underway()}
                claim = Claim(trial_id, waiting[trial.number])
                self.claims.append(claim)
                return claim
        return None

    def finish(self, claim: Claim, training: TrainedCandidate, objective: str, system_attrs: Mapping[str, Any]) -> bool:
        """Return whether a training is stored; False if it was given up meanwhile."""
        trial = finished_trial(training, objective, system_attrs)  # its parameters are there already
        is_ours = self._finish(claim.trial_id, trial)
        self.forget(claim)
        return is_ours

    def put_back(self, claim: Claim) -> None:
        """Let a training wait again that is not done."""
        self.forget(claim)
        if self._is_bulk:
            running_trials.put_back(self._rdb, claim.trial_id)
            return
        with suppress(UpdateFinishedTrialError):  # it was given up meanwhile
            self._optuna_storage.set_trial_state_values(claim.trial_id, TrialState.WAITING)

    def beat(self, *, only_reported: bool = False) -> None:
        """Show that the trainings here still run, with what they reported since; or only those that reported."""
        for claim in [j for j in self.claims if not j.is_lost]:
            values = claim.reported()
            if (values or not only_reported) and not self._beat(claim.trial_id, values):
                claim.is_lost = True

    def fail_stale(self, name: str) -> None:
        """Fail the trials of a study whose workers have not been heard of for the grace time."""
        with expected_experiments():
            fail_stale_trials(optuna.load_study(study_name=name, storage=self._rdb))

    def fail_worker(self, reader: StudyReader, worker: str) -> int:
        """Return the number of trials of a worker that ended without finishing them; they are failed now."""
        lost = [i for i, t in reader.open.items() if t.state == TrialState.RUNNING and _worker(t.user_attrs) == worker]
        for trial_id in lost:
            self._finish(trial_id, optuna.trial.create_trial(state=TrialState.FAIL))
        return len(lost)

    def fail_orphans(self, reader: StudyReader) -> int:
        """Return the number of running trials that no worker can have, as they came without a heartbeat: now failed.

        The dashboard copies trials when a study is renamed, without their heartbeats.
        """
        if not self._is_bulk:
            return 0
        ours = [i for i, t in reader.open.items() if t.state == TrialState.RUNNING and _worker(t.user_attrs)]
        orphans = set(ours) - bulk_read.with_heartbeat(self._rdb, ours)
        for trial_id in orphans:
            self._finish(trial_id, optuna.trial.create_trial(state=TrialState.FAIL))
        return len(orphans)

    def forget(self, claim: Claim) -> None:
        """Give no more signs of life of a training, so that others give it up."""
        self.claims = [j for j in self.claims if j is not claim]

    def _start(self, trial_id: int) -> bool:
        if self._is_bulk:
            return running_trials.start(self._rdb, trial_id, worker=self._worker)
        self._rdb.record_heartbeat(trial_id)  # before it runs, so that it never runs without
        try:
            is_ours = self._optuna_storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False
        if is_ours:
            self._optuna_storage.set_trial_user_attr(trial_id, "worker", self._worker)
        return is_ours

    def _beat(self, trial_id: int, values: Mapping[int, float]) -> bool:
        if self._is_bulk:
            return running_trials.beat(self._rdb, trial_id, values)
        self._rdb.record_heartbeat(trial_id)
        try:
            for step, value in values.items():
                self._optuna_storage.set_trial_intermediate_value(trial_id, step, value)
        except UpdateFinishedTrialError:
            return False
        return self._optuna_storage.get_trial(trial_id).state == TrialState.RUNNING

    def _finish(self, trial_id: int, trial: FrozenTrial) -> bool:
        """Return whether a running trial has a state, attributes and values now that it keeps."""
        if self._is_bulk:
            return running_trials.finish(self._rdb, trial_id, trial)
        storage = self._optuna_storage
        try:
            for key, value in trial.user_attrs.items():
                storage.set_trial_user_attr(trial_id, key, value)
            for key, value in trial.system_attrs.items():
                storage.set_trial_system_attr(trial_id, key, value)
            for step, value in trial.intermediate_values.items():
                storage.set_trial_intermediate_value(trial_id, step, value)
            return storage.set_trial_state_values(trial_id, trial.state, trial.values)
        except UpdateFinishedTrialError:  # given up meanwhile, or stored by a call that did not come to know it
            there = storage.get_trial(trial_id)
            return there.state == trial.state and "status" in there.user_attrs

    def suggested(self, study_id: int, numbers: Sequence[int]) -> Suggested:
        """Return what candidates were suggested, with the distributions, by the numbers of the candidates' trials."""
        if self._is_bulk:
            return bulk_read.read_suggested(self._rdb, study_id, numbers)
        storage = self._optuna_storage
        trials = {n: storage.get_trial(storage.get_trial_id_from_study_id_trial_number(study_id, n)) for n in numbers}
        return {n: (t.params, t.distributions) for n, t in trials.items()}


def _worker(user_attrs: Mapping[str, Any]) -> str:
    return str(user_attrs.get("worker", ""))
