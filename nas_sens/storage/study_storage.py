"""Studies in an SQL database: the only file that opens an Optuna storage. Records in, records out.

Ownership: a study may be written by several processes at once. A scored candidate is one finished trial, a training a
trial of its own that waits, runs and finishes (see `trials`, `queue`). Many trials are written at once by `bulk_write`,
one by one through Optuna where its tables are not the known ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from ..core.candidates import ScoredCandidate, TrainedCandidate, Underway
from . import artifact_places, bulk_write, uploads
from .artifacts import Artifacts
from .guard import patient
from .queue import Claim
from .study_database import StudyDatabase
from .trials import scored_trial


class Trainings(NamedTuple):
    """The trainings of a study at one moment.

    Attributes:
        trained: Finished ones, in the order of their trials.
        underway: Those that wait or run, in the order of their trials.
        newest: Identifier of the study's newest trial.
    """

    trained: list[TrainedCandidate]
    underway: list[Underway]
    newest: int


class StudyStorage(StudyDatabase):
    """A database of studies with their trials and artifacts; see `StudyDatabase` for how it is opened."""

    # -- scored candidates --------------------------------------------------------------------------------------------

    @patient
    def scored(self, name: str, *, start: int = 0) -> list[ScoredCandidate]:
        """Return all candidates of a study but the first ``start``, in the order in which they were stored."""
        with self.guard():
            return self._reader(name).candidates[start:]

    @patient
    def add_scored(
        self, name: str, candidates: Iterable[tuple[ScoredCandidate, Mapping[str, BaseDistribution]]]
    ) -> None:
        """Store candidates with the distributions of their parameters, each as one finished trial.

        Candidates that another process stored meanwhile are left out. All are written in one transaction where
        Optuna's tables are the known ones, else one by one through Optuna.
        """
        with self.guard():
            reader = self._reader(name)
            trials = [scored_trial(c, d) for c, d in candidates if c.digest not in reader.scored]
            self._insert(self.study_id(name), trials, unless_after=reader.newest)

    @patient
    def suggested(self, name: str, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the parameters of candidates by the numbers of their trials, as their distributions hold them."""
        with self.guard():
            found = self._queue.suggested(self.study_id(name), numbers)
        return {number: params for number, (params, _) in found.items()}

    def _insert(self, study_id: int, trials: Sequence[FrozenTrial], *, unless_after: int) -> None:
        if self._is_bulk:
            bulk_write.insert_trials(self.rdb, study_id, trials, unless_after=unless_after)
            return
        for trial in trials:
            self.optuna_storage.create_new_trial(study_id, trial)

    # -- trainings ----------------------------------------------------------------------------------------------------

    def trained(self, name: str) -> list[TrainedCandidate]:
        """Return all finished trainings of a study, in the order of their trials."""
        return self.trainings(name).trained

    @patient
    def trainings(self, name: str, *, live: bool = False) -> Trainings:
        """Return the trainings of a study at this moment.

        Args:
            name: Name of the study.
            live: Whether to read since when the running ones run, and their curves so far.
        """
        with self.guard():
            reader = self._reader(name)
            return Trainings(list(reader.trained), reader.underway(live=live), reader.newest)

    @patient
    def enqueue(self, name: str, trainings: Sequence[TrainedCandidate], *, seen: Trainings) -> int:
        """Return the number of trainings that wait now, all or none: none if somebody has added trials meanwhile.

        Args:
            name: Name of the study.
            trainings: What is known of them beforehand.
            seen: What they were planned by.
        """
        with self.guard():
            study_id = self.study_id(name)
            return self._queue.add(study_id, trainings, lost=self._readers[study_id].lost, newest=seen.newest)

    @patient
    def add_trained(self, name: str, trainings: Sequence[TrainedCandidate], *, seen: Trainings) -> int:
        """Return the number of finished trainings that were stored, all or none: as `enqueue`, but nobody runs them."""
        with self.guard():
            study_id = self.study_id(name)
            objective = self._objective(study_id)
            return self._queue.add_finished(study_id, trainings, objective, newest=seen.newest)

    @patient
    def take(self, name: str) -> Claim | None:
        """Return the first training that waits, running here now; None if none waits.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; none runs here then.
        """
        # On SQLite, Optuna lets two processes start the same trial.
        alone = nullcontext() if self._is_bulk else self.leases.hold(name, "take", poll_seconds=0.01)
        try:
            with self.guard(), alone:
                claim = self._queue.take(self._reader(name))
        except KeyboardInterrupt:  # which the guard raises at its end: nobody knows yet of what was begun
            for begun in list(self._queue.claims):
                self.put_back(begun)
            raise
        if claim is not None:
            self._heartbeat.start()
        return claim

    def finish(
        self, name: str, claim: Claim, training: TrainedCandidate, artifacts: Mapping[str, Path]
    ) -> TrainedCandidate | None:
        """Return a training with its number, stored, its artifacts first; None if it was given up meanwhile.

        Args:
            name: Name of the study.
            claim: Where it ran.
            training: Its figures.
            artifacts: File name to file.
        """
        if claim.is_lost:
            self._queue.forget(claim)
            return None
        self._note(name, claim, ids := Artifacts.new_ids(len(artifacts)))
        files = self.artifacts_of(name)
        with self.guard():
            attributes = files.write(artifacts, ids) if artifacts else {}
        stored = replace(training, number=claim.training.number)
        if self._finish(name, claim, stored, attributes):
            return stored
        files.discard(attributes)
        return None

    @patient
    def _note(self, name: str, claim: Claim, ids: Sequence[str]) -> None:
        """Note what is written for a training (see `uploads`), unless it was given up meanwhile."""
        with self.guard(), suppress(UpdateFinishedTrialError):
            self.study_id(name)
            uploads.note(self.rdb, claim.trial_id, ids)

    @patient
    def sweep(self, name: str) -> list[str]:
        """Return the artifacts that workers of a study left when they were killed, removed."""
        if not self._is_bulk:
            return []
        with self.guard():
            ids = uploads.left_over(self.rdb, self.study_id(name))
        if ids:
            self.artifacts_of(name).discard({f"artifacts:{i}": "" for i in ids})
        return ids

    @patient
    def without_artifacts(self, name: str) -> list[int]:
        """Return the numbers of trained networks whose files are not where they should be; in a bucket nobody looks."""
        folder = self.artifacts_of(name).folder
        if folder is None or not self._is_bulk:
            return []
        with self.guard():
            found = uploads.referred_to(self.rdb, self.study_id(name))
        there = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        return sorted(number for number, ids in found.items() if not there.issuperset(ids))

    def abandon(self, claim: Claim) -> None:
        """Leave a training to whoever gives it up, as the database does not answer."""
        self._queue.forget(claim)

    @patient
    def _finish(self, name: str, claim: Claim, training: TrainedCandidate, attributes: Mapping[str, str]) -> bool:
        with self.guard():
            return self._queue.finish(claim, training, self._objective(self.study_id(name)), attributes)

    @patient
    def put_back(self, claim: Claim) -> None:
        """Let a training wait again that this worker does not finish."""
        with self.guard():
            self._queue.put_back(claim)

    @patient
    def fail_stale(self, name: str) -> None:
        """Give up the trainings whose workers gave no sign of life for the grace time."""
        with self.guard():
            self._queue.fail_stale(name)
            self._queue.fail_orphans(self._reader(name))

    @patient
    def fail_worker(self, name: str, worker: str) -> int:
        """Return the number of trainings that a worker left when it ended; they and its leases are given up."""
        with self.guard():
            self.leases.release_worker(name, worker)
            return self._queue.fail_worker(self._reader(name), worker)

    def fetch_artifact(self, name: str, number: int, filename: str, destination: Path) -> None:
        """Copy an artifact of a training to ``destination``.

        Raises:
            StorageError: The trial has no such artifact, or its file is missing.
        """
        with self.guard():
            trial = self._trial(name, number)
        what = f"training trial {number} of study {name!r}"
        self.artifacts_of(name).fetch(trial, self.optuna_storage, filename, destination, what=what)

    def attach(self, name: str, files: Mapping[str, Path]) -> None:
        """Keep files as artifacts of a study itself.

        Args:
            name: Name of the study.
            files: File name to file.

        Raises:
            StorageError: The artifacts or the database cannot be written.
        """
        artifacts = self.artifacts_of(name)
        with self.guard():
            artifacts.attach_to_study(files, self.optuna_storage, self.study_id(name))

    def artifacts_of(self, name: str) -> Artifacts:
        """Return the artifacts of a study: where this storage was told that they are, else where it remembers."""
        place = None if self.given_artifacts is not None else self.attributes(name).get(artifact_places.ATTRIBUTE)
        return self.artifacts if place is None else self._remembered.setdefault(place, Artifacts(place))

    def remember_artifacts(self, name: str, stored: Mapping[str, Any] | None) -> dict[str, str | None]:
        """Return the attributes by which a study that is opened for writing remembers where its artifacts lie.

        Args:
            name: The study.
            stored: Its attributes; None if it is new.

        Raises:
            InvalidInputError: Artifacts cannot be written there, or those so far lie elsewhere.
        """

        def has_all(artifacts: Artifacts) -> bool:
            numbers = [t.number for t in self.trained(name) if t.is_ok] if stored is not None else []
            with self.guard():
                trials = [self._trial(name, n) for n in {*numbers[:1], *numbers[-1:]}]
                return all(artifacts.has_files_of(t, self.optuna_storage) for t in trials)

        return artifact_places.to_remember(
            name, url=self.url, given=self.given_artifacts, stored=stored, has_all=has_all
        )

    def _trial(self, name: str, number: int | None) -> FrozenTrial:
        assert number is not None, "only stored records have a trial"
        return self.rdb.get_trial(self.rdb.get_trial_id_from_study_id_trial_number(self.study_id(name), number))
