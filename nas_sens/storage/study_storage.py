"""Studies in an SQL database: the only file that opens an Optuna storage. Records in, records out.

Ownership: a study may be written by several processes at once. Optuna's own rows are written through Optuna's storage
interface, many finished trials at once by `bulk_write`. One small table beside them, ``nas_sens_claims``, says which
process works on which architecture, so that none is trained twice; a claim of a process that died is taken over.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.errors import InvalidInputError, StorageError
from . import artifact_places, bulk_read, bulk_write
from .artifacts import Artifacts
from .claims import Claims
from .guard import database_guard, line_of
from .optuna_log import quiet_optuna
from .schema import is_known_schema
from .trials import scored_trial, to_scored, to_trained, trained_trial
from .url import DEFAULT_STORAGE, default_artifacts, hide_password

TRAINED = "/train"  # behind a study's name: the study of its trainings
_SQLITE_TIMEOUT_SECONDS = 60.0  # how long to wait for other processes that write
_RACES = ("already exists", "unique", "duplicate", "deadlock", "tuple concurrently")
_OPEN_ATTEMPTS = 40  # several processes that make the tables of an empty database get in each other's way


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

    Attributes:
        rdb: Optuna's storage without a cache.
        optuna_storage: Optuna's storage, for Optuna's own tools.
        claims: Which process works on what.
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
    ) -> None:
        self.url = url
        self.shown_url = hide_password(url)
        connect = _connection_arguments(url, self.shown_url, must_exist=must_exist, timeout=timeout)
        try:
            self.rdb = _open_database(url, connect)
            self.optuna_storage = optuna.storages.get_storage(self.rdb)
            self.claims = Claims(self.rdb.engine, self.guard)
        except (
            SQLAlchemyError,
            optuna.exceptions.StorageInternalError,
            ImportError,
            RuntimeError,
            ValueError,
        ) as error:
            raise StorageError(f"cannot open the storage {self.shown_url}: {line_of(error, url)}") from error
        self._is_bulk = is_known_schema() if bulk is None else bulk
        self.given_artifacts = None if artifacts is None else artifact_places.place_of(artifacts)
        self.artifacts = Artifacts(self.given_artifacts or default_artifacts(url))
        self._remembered: dict[str, Artifacts] = {}
        # Finished trials never change: what is read of a study is its last trial and the records so far.
        self._scored: dict[int, tuple[int, list[ScoredCandidate]]] = {}
        self._trained: dict[int, tuple[int, list[TrainedCandidate], set[str]]] = {}

    def guard(self) -> AbstractContextManager[None]:
        """Return a context in which errors of the database become one line, and a Ctrl-C waits."""
        return database_guard(self.url)

    # -- studies ------------------------------------------------------------------------------------------------------

    def study_names(self) -> list[str]:
        """Return the names of all studies that nas_sens made (without those of their trainings)."""
        with self.guard():
            studies = self.optuna_storage.get_all_studies()
        names = (s.study_name for s in studies if "space_digest" in s.user_attrs)
        return sorted(n for n in names if not n.endswith(TRAINED))

    def exists(self, name: str) -> bool:
        """Return whether a study of this name is there, whoever made it."""
        with self.guard():
            studies = {s.study_name: s for s in self.optuna_storage.get_all_studies()}
        if name not in studies:
            return False
        if "space_digest" in studies[name].user_attrs or name + TRAINED not in studies:
            return True
        # Else a process was killed inside ``create``, which makes the companion first.
        return "space_digest" not in studies[name + TRAINED].user_attrs

    def create(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Create study ``name`` and ``name/train`` with user attributes, or bring their attributes up to date."""
        with self.guard(), quiet_optuna():
            for study_name, metric in ((name + TRAINED, "val_loss"), (name, "log10_sensitivity")):
                study = optuna.create_study(
                    storage=self.optuna_storage, study_name=study_name, direction="minimize", load_if_exists=True
                )
                self.optuna_storage.set_study_system_attr(study._study_id, "study:metric_names", [metric])
                there = self.optuna_storage.get_study_user_attrs(study._study_id)
                # The last one says that the study is ours and complete (see ``exists``).
                for key, value in sorted(attributes.items(), key=lambda item: item[0] == "space_digest"):
                    if key not in there or there[key] != value:
                        study.set_user_attr(key, value)

    def attributes(self, name: str) -> dict[str, Any]:
        """Return the user attributes of a study.

        Raises:
            InvalidInputError: There is no such study, or nas_sens did not make it.
        """
        if not self.exists(name):
            names = self.study_names()
            there = f"there are: {', '.join(names)}" if names else "it holds none yet"
            raise InvalidInputError(f"no study {name!r} in {self.shown_url}; {there}")
        with self.guard():
            attributes = dict(self.optuna_storage.get_study_user_attrs(self.study_id(name)))
        if "space_digest" not in attributes:
            raise InvalidInputError(
                f"the study {name!r} in {self.shown_url} was not made by nas_sens; give another name with --name"
            )
        return attributes

    def study_id(self, name: str) -> int:
        """Return the identifier of a study, or of the study of its trainings, in the database."""
        return int(self.optuna_storage.get_study_id_from_name(name))

    # -- scored candidates --------------------------------------------------------------------------------------------

    def scored(self, name: str, *, start: int = 0) -> list[ScoredCandidate]:
        """Return all candidates of a study but the first ``start``, in the order in which they were stored."""
        return self._read_scored(name)[start:]

    def _read_scored(self, name: str) -> list[ScoredCandidate]:
        """Return all candidates; only those behind the last one are read."""
        with self.guard():
            study_id = self.study_id(name)
            if not self._is_bulk:
                trials = self.optuna_storage.get_all_trials(study_id, deepcopy=False)
                return [to_scored(t.number, t.user_attrs) for t in trials if "digest" in t.user_attrs]
            last, candidates = self._scored.get(study_id, (-1, []))
            with bulk_read.no_collection():
                new = bulk_read.read_finished(self.rdb, study_id, after=last)
                candidates += [to_scored(t.number, t.user_attrs) for t in new if "digest" in t.user_attrs]
        self._scored[study_id] = (new[-1].trial_id if new else last, candidates)
        return candidates

    def add_scored(
        self, name: str, candidates: Iterable[tuple[ScoredCandidate, Mapping[str, BaseDistribution]]]
    ) -> None:
        """Store candidates with the distributions of their parameters, each as one finished trial.

        Candidates that another process stored meanwhile are left out. All are written in one transaction where
        Optuna's tables are the known ones, else one by one through Optuna.
        """
        with self.guard(), self.claims.hold(name, "scores"):
            there = {c.digest for c in self._read_scored(name)}
            trials = [scored_trial(c, distributions) for c, distributions in candidates if c.digest not in there]
            self._insert(self.study_id(name), trials)

    # -- trained candidates -------------------------------------------------------------------------------------------

    def trained(self, name: str) -> list[TrainedCandidate]:
        """Return all finished trainings of a study, in the order in which they were finished."""
        return list(self._read_trained(name)[0])

    def is_trained(self, name: str, digest: str) -> bool:
        """Return whether a training of a candidate is finished."""
        return digest in self._read_trained(name)[1]

    def _read_trained(self, name: str) -> tuple[list[TrainedCandidate], set[str]]:
        """Return all finished trainings and their candidates' digests; only those behind the last one are read."""
        with self.guard():
            study_id = self.study_id(name + TRAINED)
            if not self._is_bulk:
                trials = self.optuna_storage.get_all_trials(study_id, deepcopy=False)
                ours = (t for t in trials if t.state.is_finished() and "n_seeds" in t.user_attrs)
                records = [to_trained(t.number, t.user_attrs, t.intermediate_values) for t in ours]
                return records, {r.digest for r in records}
            last, records, digests = self._trained.get(study_id, (-1, [], set()))
            new = bulk_read.read_finished(self.rdb, study_id, after=last)
            curves = bulk_read.read_intermediate_values(self.rdb, study_id, after=last) if new else {}
            found = [
                to_trained(t.number, t.user_attrs, curves.get(t.trial_id, {})) for t in new if "n_seeds" in t.user_attrs
            ]
            records += found
            digests |= {r.digest for r in found}
        self._trained[study_id] = (new[-1].trial_id if new else last, records, digests)
        return records, digests

    def add_trained(
        self, name: str, record: TrainedCandidate, source: ScoredCandidate, artifacts: Mapping[str, Path]
    ) -> TrainedCandidate:
        """Return a training with its number, stored as one finished trial, its artifacts first.

        Args:
            name: Name of the study.
            record: The training's figures.
            source: The scored candidate it is a training of.
            artifacts: File name to file.
        """
        with self.guard():
            scored = self._trial(name, source.number)
            # All in one transaction: a process killed at any moment leaves no half-written trial.
            trial = trained_trial(record, scored, self.artifacts_of(name).write(artifacts) if artifacts else {})
            return replace(record, number=self._insert(self.study_id(name + TRAINED), [trial])[0])

    def fetch_artifact(self, name: str, number: int, filename: str, destination: Path) -> None:
        """Copy an artifact of a training trial to ``destination``.

        Raises:
            StorageError: The trial has no such artifact, or its file is missing.
        """
        with self.guard():
            trial = self._trial(name + TRAINED, number)
        what = f"training trial {number} of study {name!r}"
        self.artifacts_of(name).fetch(trial, self.optuna_storage, filename, destination, what=what)

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
                trials = [self._trial(name + TRAINED, n) for n in {*numbers[:1], *numbers[-1:]}]
                return all(artifacts.has_files_of(t, self.optuna_storage) for t in trials)

        return artifact_places.to_remember(
            name, url=self.url, given=self.given_artifacts, stored=stored, has_all=has_all
        )

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _insert(self, study_id: int, trials: list[FrozenTrial]) -> list[int]:
        """Return the numbers of finished trials, stored in one transaction where Optuna's tables are known."""
        if self._is_bulk:
            return bulk_write.insert_finished(self.rdb, study_id, trials)
        ids = [self.optuna_storage.create_new_trial(study_id, trial) for trial in trials]
        return [self.optuna_storage.get_trial(i).number for i in ids]

    def _trial(self, name: str, number: int | None) -> FrozenTrial:
        assert number is not None, "only stored records have a trial"
        return self.rdb.get_trial(self.rdb.get_trial_id_from_study_id_trial_number(self.study_id(name), number))


def _connection_arguments(url: str, shown_url: str, *, must_exist: bool, timeout: float) -> dict[str, Any]:
    """Return what the database's driver is told, having checked that an SQLite file can be there.

    Raises:
        InvalidInputError: The URL is malformed, or the file does not exist though it must.
    """
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except SQLAlchemyError as error:
        raise InvalidInputError(
            f"the storage must be a database URL such as {DEFAULT_STORAGE}; given {shown_url!r}"
        ) from error
    if parsed.get_backend_name() != "sqlite":
        return {}
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError("the storage must be a file or a server, as a study has to outlive the command")
    path = Path(parsed.database)
    if not path.parent.is_dir():
        raise InvalidInputError(f"the folder of the storage {shown_url} does not exist; create it first")
    if must_exist and not path.is_file():
        raise InvalidInputError(
            f"there is no database {str(path)!r}; run a search first, or name the right one with --storage"
        )
    return {"timeout": timeout}


def _open_database(url: str, connect: Mapping[str, Any]) -> RDBStorage:
    """Return an open database with its tables, though other processes may make them at the same moment.

    Raises:
        SQLAlchemyError: It cannot be opened; as are the other three.
        StorageInternalError: See above.
        RuntimeError: See above.
        AssertionError: See above.
    """
    for _ in range(_OPEN_ATTEMPTS - 1):
        try:
            return _open_once(url, connect)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, AssertionError) as error:
            if not any(t in f"{error} {error.__cause__}".lower() for t in _RACES):
                raise
            time.sleep(0.05 + 0.1 * random.random())
    return _open_once(url, connect)


def _open_once(url: str, connect: Mapping[str, Any]) -> RDBStorage:
    with quiet_optuna():
        return RDBStorage(url, engine_kwargs={"connect_args": dict(connect)})
