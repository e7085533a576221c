"""Studies in an SQL database: the only file that opens an Optuna storage. Records in, records out.

Ownership: a study may be written by several processes at once. Optuna's own rows are written through Optuna's storage
interface. One small table beside them, ``nas_sens_claims``, says which process works on which architecture, so that
none is trained twice; a claim of a process that died is taken over.
"""

from __future__ import annotations

import json
import mimetypes
import random
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import sqlalchemy
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore, download_artifact, get_all_artifact_meta
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from . import bulk, bulk_read
from .claims import Claims
from .errors import InvalidInputError, StorageError, first_line
from .excerpt import Excerpt
from .interrupts import finish_first
from .optuna_log import quiet_optuna
from .record_trials import scored_trial, to_scored, to_trained, trained_trial
from .records import ScoredCandidate, TrainedCandidate
from .storage_url import default_artifacts, hide_password, redact

DEFAULT_STORAGE = "sqlite:///nas_sens.db"
NOTE_MARK = "*Written by nas_sens, which keeps it up to date until this line is removed.*"
_SUFFIX = "/train"
_SQLITE_TIMEOUT_SECONDS = 60.0  # how long to wait for other processes that write
_RACES = ("already exists", "unique", "duplicate", "deadlock", "tuple concurrently")
_OPEN_ATTEMPTS = 40  # several processes that make the tables of an empty database get in each other's way


class StudyStorage:
    """A database with its artifact folder.

    Args:
        url: SQLAlchemy URL of an SQLite, PostgreSQL or MySQL database.
        artifacts: Folder for trained weights; None for the default of the URL.
        must_exist: Whether an SQLite file must be there already (reading commands create nothing).

    Raises:
        InvalidInputError: The URL is malformed, or the file does not exist though it must.
        StorageError: The database cannot be opened.
    """

    def __init__(self, url: str = DEFAULT_STORAGE, *, artifacts: Path | None = None, must_exist: bool = False) -> None:
        self.url = url
        self.shown_url = hide_password(url)
        try:
            parsed = sqlalchemy.engine.make_url(url)
        except SQLAlchemyError as error:
            raise InvalidInputError(
                f"the storage must be a database URL such as {DEFAULT_STORAGE}; given {self.shown_url!r}"
            ) from error
        is_sqlite = parsed.get_backend_name() == "sqlite"
        if is_sqlite:
            self._check_sqlite(parsed.database, must_exist)
        connect = {"timeout": _SQLITE_TIMEOUT_SECONDS} if is_sqlite else {}
        try:
            self._rdb = _open_database(url, connect)
            self._storage = optuna.storages.get_storage(self._rdb)
            self.claims = Claims(self._rdb.engine)
            self._scored: dict[int, tuple[int, list[ScoredCandidate]]] = {}  # what is read: last trial and candidates
        except (
            SQLAlchemyError,
            optuna.exceptions.StorageInternalError,
            ImportError,
            RuntimeError,
            ValueError,
        ) as error:
            raise StorageError(f"cannot open the storage {self.shown_url}: {self._line(error)}") from error
        self.artifacts = artifacts if artifacts is not None else default_artifacts(url)

    def _check_sqlite(self, database: str | None, must_exist: bool) -> None:
        if not database or database == ":memory:":
            raise InvalidInputError("the storage must be a file or a server, as a study has to outlive the command")
        path = Path(database)
        if not path.parent.is_dir():
            raise InvalidInputError(f"the folder of the storage {self.shown_url} does not exist; create it first")
        if must_exist and not path.is_file():
            raise InvalidInputError(
                f"there is no database {str(path)!r}; run a search first, or name the right one with --storage"
            )

    # -- studies ------------------------------------------------------------------------------------------------------

    def study_names(self) -> list[str]:
        """Return the names of all studies that nas_sens made (without those of their trainings)."""
        with self._guard():
            studies = self._storage.get_all_studies()
        names = (s.study_name for s in studies if "space_digest" in s.user_attrs)
        return sorted(n for n in names if not n.endswith(_SUFFIX))

    def exists(self, name: str) -> bool:
        """Return whether a study of this name is there, whoever made it."""
        with self._guard():
            studies = {s.study_name: s for s in self._storage.get_all_studies()}
        if name not in studies:
            return False
        if "space_digest" in studies[name].user_attrs or name + _SUFFIX not in studies:
            return True
        # Else a process was killed inside ``create``, which makes the companion first.
        return "space_digest" not in studies[name + _SUFFIX].user_attrs

    def create(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Create study ``name`` and ``name/train`` with user attributes, or bring their attributes up to date."""
        with self._guard(), quiet_optuna():
            for study_name, metric in ((name + _SUFFIX, "val_loss"), (name, "log10_sensitivity")):
                study = optuna.create_study(
                    storage=self._storage, study_name=study_name, direction="minimize", load_if_exists=True
                )
                self._storage.set_study_system_attr(study._study_id, "study:metric_names", [metric])
                there = self._storage.get_study_user_attrs(study._study_id)
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
        with self._guard():
            attributes = dict(self._storage.get_study_user_attrs(self._storage.get_study_id_from_name(name)))
        if "space_digest" not in attributes:
            raise InvalidInputError(
                f"the study {name!r} in {self.shown_url} was not made by nas_sens; give another name with --name"
            )
        return attributes

    # -- scored candidates --------------------------------------------------------------------------------------------

    def scored(self, name: str, *, start: int = 0) -> list[ScoredCandidate]:
        """Return all candidates of a study but the first ``start``, in the order in which they were stored."""
        return self._read_scored(name)[start:]

    def _read_scored(self, name: str) -> list[ScoredCandidate]:
        """Return all candidates; finished trials never change, so that only those behind the last one are read."""
        if not bulk.is_known_schema():
            return [to_scored(t.number, t.user_attrs) for t in self._trials(name) if "digest" in t.user_attrs]
        with self._guard():
            study_id = self._storage.get_study_id_from_name(name)
            last, candidates = self._scored.get(study_id, (-1, []))
            with bulk_read.no_collection():
                new = bulk_read.read_finished(self._rdb, study_id, after=last)
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
        with self._guard(), finish_first(), self.claims.hold(name, "scores"):
            there = {c.digest for c in self._read_scored(name)}
            study_id = self._storage.get_study_id_from_name(name)
            trials = [scored_trial(c, distributions) for c, distributions in candidates if c.digest not in there]
            if bulk.is_known_schema():
                bulk.insert_finished(self._rdb, study_id, trials)
            else:
                for trial in trials:
                    self._storage.create_new_trial(study_id, trial)

    # -- trained candidates -------------------------------------------------------------------------------------------

    def trained(self, name: str) -> list[TrainedCandidate]:
        """Return all finished trainings of a study, in the order in which they were finished."""
        trials = self._trials(name + _SUFFIX)
        return [to_trained(t) for t in trials if t.state.is_finished() and "n_seeds" in t.user_attrs]

    def add_trained(
        self, name: str, record: TrainedCandidate, source: ScoredCandidate, artifacts: Mapping[str, Path]
    ) -> TrainedCandidate:
        """Store a training as one finished trial, its artifacts first, and return it with its number.

        Args:
            name: Name of the study.
            record: The training's figures.
            source: The scored candidate it is a training of.
            artifacts: File name to file.
        """
        with self._guard(), finish_first():
            scored = self._trial(name, source.number)
            # All in one row-creating call: a process killed at any moment leaves no half-written trial.
            template = trained_trial(record, scored, self._write_artifacts(artifacts))
            study_id = self._storage.get_study_id_from_name(name + _SUFFIX)
            trial_id = self._storage.create_new_trial(study_id, template)
            return replace(record, number=self._storage.get_trial(trial_id).number)

    def _write_artifacts(self, artifacts: Mapping[str, Path]) -> dict[str, str]:
        """Copy files into the artifact store and return the attributes by which Optuna finds them."""
        attributes = {}
        try:
            self.artifacts.mkdir(parents=True, exist_ok=True)
            store = FileSystemArtifactStore(self.artifacts)
            for filename, path in artifacts.items():
                mimetype = mimetypes.guess_type(filename)[0] or "application/octet-stream"
                meta = ArtifactMeta(artifact_id=str(uuid.uuid4()), filename=filename, mimetype=mimetype, encoding=None)
                attributes[f"artifacts:{meta.artifact_id}"] = json.dumps(asdict(meta))
                with path.open("rb") as file:
                    store.write(meta.artifact_id, file)
        except OSError as error:
            for key in attributes:  # no trial will refer to them
                (self.artifacts / key.removeprefix("artifacts:")).unlink(missing_ok=True)
            raise StorageError(f"cannot write into the artifact folder {self.artifacts}: {error.strerror}") from error
        return attributes

    def fetch_artifact(self, name: str, number: int, filename: str, destination: Path) -> None:
        """Copy an artifact of a training trial to ``destination``.

        Raises:
            StorageError: The trial has no such artifact, or its file is missing.
        """
        with self._guard():
            trial = self._trial(name + _SUFFIX, number)
        metas = get_all_artifact_meta(trial, storage=self._storage)
        ids = [m.artifact_id for m in metas if m.filename == filename]
        if not ids:
            raise StorageError(f"training trial {number} of study {name!r} has no artifact {filename!r}")
        try:
            download_artifact(
                artifact_store=FileSystemArtifactStore(self.artifacts),
                artifact_id=ids[-1],
                file_path=str(destination),
            )
        except (OSError, optuna.artifacts.exceptions.ArtifactNotFound) as error:
            raise StorageError(
                f"the artifact {filename!r} of training trial {number} of study {name!r} is not in {self.artifacts}; "
                "name the right folder with --artifacts"
            ) from error

    # -- several processes --------------------------------------------------------------------------------------------

    def take(self, name: str, item: str) -> bool:
        """Claim an item of a study's work; return whether this process has it now."""
        with self._guard():
            return self.claims.take(name, item)

    def beat(self, name: str, item: str) -> None:
        """Show that this process still works on its claim."""
        with self._guard():
            self.claims.beat(name, item)

    def release(self, name: str, item: str) -> None:
        """Give up this process's claim."""
        with self._guard():
            self.claims.release(name, item)

    @contextmanager
    def creating(self, name: str) -> Iterator[None]:
        """Keep other processes from creating or checking the same study inside the ``with`` block."""
        while not self.take(name, "create"):
            time.sleep(0.05)
        try:
            yield
        finally:
            self.release(name, "create")

    # -- the dashboard ------------------------------------------------------------------------------------------------

    @property
    def optuna_storage(self) -> optuna.storages.BaseStorage:
        """Optuna's storage, for Optuna's own tools."""
        return self._storage

    def excerpt(self) -> optuna.storages.BaseStorage:
        """Return Optuna's storage as the dashboard is shown it: large studies in part, trained candidates always."""
        always = {}
        for name in self.study_names():
            numbers = {t.source_trial for t in self.trained(name)}
            with self._guard():
                study_id = self._storage.get_study_id_from_name(name)
                always[study_id] = set(bulk.trial_ids(self._rdb, study_id, numbers).values())
        return cast(optuna.storages.BaseStorage, Excerpt(self._storage, self._rdb, always))

    @property
    def artifact_store(self) -> FileSystemArtifactStore:
        """Optuna's store of the artifact folder."""
        return FileSystemArtifactStore(self.artifacts)

    def annotate(
        self, name: str, notes: Mapping[tuple[str, int | None], str], plots: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Save notes and plots for optuna-dashboard; what is the same already is not written again.

        Notes without ``NOTE_MARK`` were edited by somebody and are left alone. Notes with it of trials that are not
        named any more are emptied.

        Args:
            name: Name of the study.
            notes: (``"score"`` or ``"train"``, trial number or None for the study) to Markdown, without the mark.
            plots: Identifier to a Plotly figure as JSON-like values; saved in both studies.
        """
        from optuna_dashboard import get_note, save_note, save_plotly_graph_object

        with self._guard(), finish_first(), quiet_optuna(), self.claims.hold(name, "notes"):
            for part, suffix in (("score", ""), ("train", _SUFFIX)):
                study = optuna.load_study(study_name=name + suffix, storage=self._storage)
                before = self._storage.get_study_system_attrs(study._study_id)
                wanted = {n: f"{text}\n\n{NOTE_MARK}" for (p, n), text in notes.items() if p == part}
                # What a note is saved for is read by three attributes, which finished trials do not offer otherwise.
                ids = bulk.trial_ids(self._rdb, study._study_id, (n for n in wanted if n is not None))
                noted = {int(m[1]) for m in map(re.compile(r"dashboard:(\d+):note_ver").fullmatch, before) if m}
                numbers = {i: number for number, i in ids.items()}
                targets: dict[int | None, Any] = {
                    numbers.get(i, -i): SimpleNamespace(storage=self._storage, study=study, _trial_id=i)
                    for i in {*numbers, *noted}
                }
                for number, target in {None: study, **targets}.items():
                    there, text = get_note(cast(Any, target)), wanted.get(number, "")
                    if there != text and (NOTE_MARK in there or (not there and text)):
                        save_note(cast(Any, target), text)
                for key, figure in plots.items():
                    text = json.dumps(figure, allow_nan=False)
                    prefix = f"dashboard:plot_data:{key}:"
                    n = sum(k.startswith(prefix) for k in before)
                    if "".join(before[f"{prefix}{i}"] for i in range(n)) != text:
                        plot = SimpleNamespace(to_json=lambda text=text: text)
                        save_plotly_graph_object(study, cast(Any, plot), graph_object_id=key)

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _trial(self, name: str, number: int | None) -> FrozenTrial:
        assert number is not None, "only stored records have a trial"
        study_id = self._storage.get_study_id_from_name(name)
        return self._rdb.get_trial(self._rdb.get_trial_id_from_study_id_trial_number(study_id, number))

    def _trials(self, name: str) -> list[FrozenTrial]:
        with self._guard():
            study_id = self._storage.get_study_id_from_name(name)
            return self._storage.get_all_trials(study_id, deepcopy=False)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn database errors into one line."""
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ or error
            raise StorageError(f"the storage {self.shown_url} failed: {self._line(cause)}") from error

    def _line(self, error: BaseException) -> str:
        """Return the first line of an error without the password, should the database's driver repeat it."""
        return redact(first_line(error), self.url)


def _open_database(url: str, connect: Mapping[str, Any]) -> RDBStorage:
    """Open a database and make its tables, though other processes may do so at the same moment."""
    for attempt in range(1, _OPEN_ATTEMPTS + 1):
        try:
            with quiet_optuna():
                return RDBStorage(url, engine_kwargs={"connect_args": dict(connect)})
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, AssertionError) as error:
            text = f"{error} {error.__cause__}".lower()
            is_race = any(t in text for t in _RACES)
            if attempt == _OPEN_ATTEMPTS or not is_race:
                raise
            time.sleep(0.05 + 0.1 * random.random())
    raise AssertionError("the last attempt returns or raises")
