"""Studies in an SQL database: the only file that opens an Optuna storage. Records in, records out.

Ownership: a study may be written by several processes at once. A scored candidate is one finished trial, a training a
trial of its own that waits, runs and finishes (see `trials`, `queue`). Many trials are written at once by `bulk_write`,
one by one through Optuna where its tables are not the known ones. A small table beside Optuna's, ``nas_sens_leases``,
says who creates a study and who scores which block of candidates.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from ..core.candidates import ScoredCandidate, TrainedCandidate, Underway
from ..core.errors import InvalidInputError, StorageError
from . import artifact_places, bulk_write
from .artifacts import Artifacts
from .guard import database_guard, line_of, patient, patiently
from .heartbeat import Heartbeat
from .leases import GRACE_SECONDS, Leases
from .opening import connection_arguments, open_database
from .optuna_log import quiet_optuna
from .queue import Job, Queue
from .schema import is_known_schema
from .study_reader import StudyReader
from .trials import LAYOUT, scored_trial
from .url import DEFAULT_STORAGE, default_artifacts, hide_password

REPORT_SECONDS = 2.0
BEATS_PER_GRACE = 6  # heartbeats that may be missed before work is given up, but one
_SQLITE_TIMEOUT_SECONDS = 60.0  # how long to wait for other processes that write
OBJECTIVE = "objective"  # user attributes are kept when the dashboard renames a study, Optuna's own are not
METRIC_NAMES = "study:metric_names"  # Optuna's own attribute


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


class StudyStorage:
    """A database with its artifact folder.

    Args:
        url: SQLAlchemy URL of an SQLite, PostgreSQL or MySQL database.
        artifacts: Folder or bucket for weights, checkpoints and logs; None for what each study remembers, else the
            default of the URL.
        must_exist: Whether an SQLite file must be there already (reading commands create nothing).
        timeout: Seconds to wait for other processes that write into an SQLite file.
        bulk: Whether to read and write many trials at once, past Optuna's interface; None for where Optuna's tables are
            the known ones.
        worker: Name of this worker, which its running trainings show; None for the host's with the process's number.
        grace_seconds: After which a training or a lease whose worker gives no sign of life is given up.
        report_seconds: Between two times at which the epochs of a running training are stored.
        patience_seconds: How long a server is waited for that does not answer.
        on_away: Told when one is waited for.

    Attributes:
        rdb: Optuna's storage without a cache.
        optuna_storage: Optuna's storage, for Optuna's own tools.
        leases: Who creates what and scores what.
        artifacts: Files of trained networks, of studies that remember no other place (see :meth:`artifacts_of`).

    Raises:
        InvalidInputError: The URL is malformed, or the file does not exist though it must.
        StorageError: The database cannot be opened.
    """

    def __init__(
        self,
        url: str = DEFAULT_STORAGE,
        *,
        artifacts: str | Path | None = None,
        must_exist: bool = False,
        timeout: float = _SQLITE_TIMEOUT_SECONDS,
        bulk: bool | None = None,
        worker: str | None = None,
        grace_seconds: float = GRACE_SECONDS,
        report_seconds: float = REPORT_SECONDS,
        patience_seconds: float = 0.0,
        on_away: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.url = url
        self.shown_url = hide_password(url)
        self.worker = f"{socket.gethostname()}:{os.getpid()}" if worker is None else worker
        self.patience_seconds, self.on_away = patience_seconds, on_away
        self.grace_seconds = grace_seconds
        self._beat_seconds, self._beaten = grace_seconds / BEATS_PER_GRACE, time.monotonic()
        connect = connection_arguments(url, self.shown_url, must_exist=must_exist, timeout=timeout)
        self._is_bulk = is_known_schema() if bulk is None else bulk
        self._heartbeat = Heartbeat(
            self._beat, is_needed=self._has_work, seconds=min(report_seconds, self._beat_seconds)
        )
        try:
            self.rdb = open_database(url, connect, beat_seconds=self._beat_seconds, grace_seconds=grace_seconds)
            self.optuna_storage = optuna.storages.get_storage(self.rdb)
            self.leases = Leases(
                self.rdb.engine,
                worker=self.worker,
                grace_seconds=grace_seconds,
                ask=self._ask,
                on_change=self._heartbeat.start,
            )
        except (
            SQLAlchemyError,
            optuna.exceptions.StorageInternalError,
            ImportError,
            RuntimeError,
            ValueError,
        ) as error:
            raise StorageError(f"cannot open the storage {self.shown_url}: {line_of(error, url)}") from error
        self._queue = Queue(self.rdb, self.optuna_storage, worker=self.worker, is_bulk=self._is_bulk)
        self.given_artifacts = None if artifacts is None else artifact_places.place_of(artifacts)
        self.artifacts = Artifacts(self.given_artifacts or default_artifacts(url))
        self._remembered: dict[str, Artifacts] = {}
        self._readers: dict[int, StudyReader] = {}

    def guard(self) -> AbstractContextManager[None]:
        """Return a context in which errors of the database become one line, and a Ctrl-C waits."""
        return database_guard(self.url)

    def _ask(self, call: Callable[[], bool]) -> bool:
        """Return what a call of the database returns, made again if it was away."""

        def once() -> bool:
            with self.guard():
                return call()

        return patiently(self, once)

    def _has_work(self) -> bool:
        """Return whether something runs or is held here."""
        return bool(self._queue.jobs or self.leases.held)

    def _beat(self) -> None:
        is_due = time.monotonic() - self._beaten >= 0.9 * self._beat_seconds
        if is_due:
            self.leases.renew()
        self._queue.beat(only_reported=not is_due)
        if is_due:
            self._beaten = time.monotonic()

    # -- studies ------------------------------------------------------------------------------------------------------

    def study_names(self) -> list[str]:
        """Return the names of all studies that nas_sens made."""
        with self.guard():
            studies = self.optuna_storage.get_all_studies()
        return sorted(s.study_name for s in studies if "space_digest" in s.user_attrs and "layout" in s.user_attrs)

    def earlier_names(self) -> list[str]:
        """Return the names of all studies that an earlier nas_sens made (without those of their trainings)."""
        with self.guard():
            studies = self.optuna_storage.get_all_studies()
        names = (s.study_name for s in studies if "space_digest" in s.user_attrs and "layout" not in s.user_attrs)
        return sorted(n for n in names if "/" not in n)

    @patient
    def exists(self, name: str) -> bool:
        """Return whether a study of this name is there, whoever made it."""
        with self.guard():
            found = [s for s in self.optuna_storage.get_all_studies() if s.study_name == name]
            # A process that was killed inside ``create`` leaves a study without what says that it is complete.
            return any("space_digest" in s.user_attrs or not self._is_begun(s._study_id) for s in found)

    def _is_begun(self, study_id: int) -> bool:
        """Return whether a study is one that ``create`` has begun, or could have: an empty one to be minimised."""
        storage = self.optuna_storage
        if "layout" in storage.get_study_user_attrs(study_id):
            return True
        is_untouched = not storage.get_study_user_attrs(study_id) and not storage.get_n_trials(study_id)
        return is_untouched and storage.get_study_directions(study_id) == [optuna.study.StudyDirection.MINIMIZE]

    @patient
    def create(self, name: str, attributes: Mapping[str, Any], *, objective: str) -> None:
        """Create a study with user attributes, or bring its attributes up to date.

        Args:
            name: Its name.
            attributes: User attributes.
            objective: The figure of a training that is the value of its trial, smaller being better; that of a study
                that is there stays.
        """
        with self.guard(), quiet_optuna():
            storage = self.optuna_storage
            study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
            there = storage.get_study_user_attrs(study._study_id)
            # The first one says that the study is ours, the last one that it is complete (see ``exists``).
            ordered = sorted(attributes.items(), key=lambda item: item[0] == "space_digest")
            stays = there.get(OBJECTIVE, objective)
            for key, value in [("layout", LAYOUT), (OBJECTIVE, stays), *ordered]:
                if key not in there or there[key] != value:
                    study.set_user_attr(key, value)
            if METRIC_NAMES not in storage.get_study_system_attrs(study._study_id):
                storage.set_study_system_attr(study._study_id, METRIC_NAMES, [stays])

    @patient
    def attributes(self, name: str, *, of_any_layout: bool = False) -> dict[str, Any]:
        """Return the user attributes of a study.

        Args:
            name: Its name.
            of_any_layout: Whether an earlier version may have made it.

        Raises:
            InvalidInputError: There is no such study, nas_sens did not make it, or an earlier version did.
        """
        with self.guard():
            try:
                found = self.optuna_storage.get_study_id_from_name(name)
                attributes = dict(self.optuna_storage.get_study_user_attrs(found))
            except KeyError:
                found, attributes = None, {}
        if found is None or ("layout" in attributes and "space_digest" not in attributes):  # see ``exists``
            names = self.study_names()
            there = f"there are: {', '.join(names)}" if names else "it holds none yet"
            if earlier := self.earlier_names():
                there += f"; stored by an earlier nas_sens: {', '.join(earlier)} (nas-sens migrate --all)"
            raise InvalidInputError(f"no study {name!r} in {self.shown_url}; {there}")
        if "space_digest" not in attributes:
            raise InvalidInputError(
                f"the study {name!r} in {self.shown_url} was not made by nas_sens; give another name with --name"
            )
        if not of_any_layout and attributes.get("layout") != LAYOUT:
            raise InvalidInputError(
                f"the study {name!r} in {self.shown_url} was stored by an earlier nas_sens, as two studies; "
                f"make one of them by: nas-sens migrate {name!r}"
            )
        return attributes

    def study_id(self, name: str) -> int:
        """Return the identifier of a study in the database.

        Raises:
            StorageError: It is not there any more.
        """
        try:
            return int(self.optuna_storage.get_study_id_from_name(name))
        except KeyError as error:
            raise StorageError(
                f"the study {name!r} is not in {self.shown_url} any more: it was deleted or renamed meanwhile"
            ) from error

    @patient
    def objective(self, name: str) -> str:
        """Return the figure of a training that is the value of its trial."""
        with self.guard():
            return self._objective(self.study_id(name))

    def _objective(self, study_id: int) -> str:
        return str(self.optuna_storage.get_study_user_attrs(study_id)[OBJECTIVE])

    def _reader(self, name: str) -> StudyReader:
        """Return what a study holds at this moment; only what is new is read."""
        study_id = self.study_id(name)
        if study_id not in self._readers:
            self._readers[study_id] = StudyReader(
                self.rdb, self.optuna_storage, study_id, objective=self._objective(study_id), is_bulk=self._is_bulk
            )
        self._readers[study_id].refresh()
        return self._readers[study_id]

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
    def take(self, name: str) -> Job | None:
        """Return the first training that waits, running here now; None if none waits.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; none runs here then.
        """
        # On SQLite, Optuna lets two processes start the same trial.
        alone = nullcontext() if self._is_bulk else self.leases.hold(name, "take", poll_seconds=0.01)
        try:
            with self.guard(), alone:
                job = self._queue.take(self._reader(name))
        except KeyboardInterrupt:  # which the guard raises at its end: nobody knows yet of what was begun
            for begun in list(self._queue.jobs):
                self.put_back(begun)
            raise
        if job is not None:
            self._heartbeat.start()
        return job

    def finish(
        self, name: str, job: Job, training: TrainedCandidate, artifacts: Mapping[str, Path]
    ) -> TrainedCandidate | None:
        """Return a training with its number, stored, its artifacts first; None if it was given up meanwhile.

        Args:
            name: Name of the study.
            job: Where it ran.
            training: Its figures.
            artifacts: File name to file.
        """
        if job.is_lost:
            self._queue.forget(job)
            return None
        files = self.artifacts_of(name)
        with self.guard():
            attributes = files.write(artifacts) if artifacts else {}
        stored = replace(training, number=job.training.number)
        if self._finish(name, job, stored, attributes):
            return stored
        files.discard(attributes)
        return None

    def abandon(self, job: Job) -> None:
        """Leave a training to whoever gives it up, as the database does not answer."""
        self._queue.forget(job)

    @patient
    def _finish(self, name: str, job: Job, training: TrainedCandidate, attributes: Mapping[str, str]) -> bool:
        with self.guard():
            return self._queue.finish(job, training, self._objective(self.study_id(name)), attributes)

    @patient
    def put_back(self, job: Job) -> None:
        """Let a training wait again that this worker does not finish."""
        with self.guard():
            self._queue.put_back(job)

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
