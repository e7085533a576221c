"""Studies of a database without their trials: what there is, how they are made, what they say of themselves.

A small table beside Optuna's, ``nas_sens_leases``, says who creates a study and who scores which block of candidates.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.exc import SQLAlchemyError

from ..core.errors import InvalidInputError, StorageError
from ..core.figures import Direction
from ..core.secrets import hide_password
from . import artifact_places
from .artifacts import Artifacts
from .attribute_types import check_study, of_study
from .guard import database_guard, line_of, patient, patiently
from .heartbeat import Heartbeat
from .leases import GRACE_SECONDS, Leases
from .opening import connection_arguments, open_database
from .optuna_log import quiet_optuna
from .queue import Queue
from .schema import is_known_schema
from .study_reader import StudyReader
from .trials import LAYOUT
from .url import DEFAULT_STORAGE, default_artifacts

REPORT_SECONDS = 2.0
BEATS_PER_GRACE = 6  # heartbeats that may be missed before work is given up, but one
_SQLITE_TIMEOUT_SECONDS = 60.0  # how long to wait for other processes that write
OBJECTIVE = "objective"  # user attributes are kept when the dashboard renames a study, Optuna's own are not
METRIC_NAMES = "study:metric_names"  # Optuna's own attribute


class StudyDatabase:
    """A database of studies, with the place of their artifacts.

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
        self.given_artifacts = None if artifacts is None else artifact_places.place_of(artifacts)
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
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            raise StorageError(f"cannot open the storage {self.shown_url}: {line_of(error, url)}") from error
        self._queue = Queue(self.rdb, self.optuna_storage, worker=self.worker, is_bulk=self._is_bulk)
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
        return bool(self._queue.claims or self.leases.held)

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
        return is_untouched and len(storage.get_study_directions(study_id)) == 1

    @patient
    def create(
        self, name: str, attributes: Mapping[str, Any], *, objective: str, direction: Direction = "minimize"
    ) -> None:
        """Create a study with user attributes, or bring its attributes up to date.

        Args:
            name: Its name.
            attributes: User attributes.
            objective: The figure of a training that is the value of its trial; that of a study that is there stays.
            direction: Whether larger is better ("maximize") or smaller; that of a study that is there stays.
        """
        with self.guard(), quiet_optuna():
            storage = self.optuna_storage
            study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
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
                f"the study {name!r} in {self.shown_url} was not made by nas_sens; if it is your own Optuna study, "
                "nas-sens report, rank and replay show it with --optuna; for a new one give another name with --name"
            )
        if not of_any_layout and attributes.get("layout") != LAYOUT:
            raise InvalidInputError(
                f"the study {name!r} in {self.shown_url} was stored by an earlier nas_sens, as two studies; "
                f"make one of them by: nas-sens migrate {name!r}"
            )
        if not of_any_layout:
            check_study(name, attributes)
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
        storage = self.optuna_storage
        return str(
            of_study(storage.get_study_name_from_id(study_id), storage.get_study_user_attrs(study_id), OBJECTIVE)
        )

    def _reader(self, name: str) -> StudyReader:
        """Return what a study holds at this moment; only what is new is read."""
        study_id = self.study_id(name)
        if study_id not in self._readers:
            self._readers[study_id] = StudyReader(
                self.rdb, self.optuna_storage, study_id, objective=self._objective(study_id), is_bulk=self._is_bulk
            )
        self._readers[study_id].refresh()
        return self._readers[study_id]
