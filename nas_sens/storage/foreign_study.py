"""Studies of somebody's own, in any storage of Optuna's: opened to be read, never written to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from ..core.boundary import reading
from ..core.declarations import nearest
from ..core.errors import InvalidInputError, first_line
from ..core.messages import shown
from ..core.secrets import hide_password
from .drivers import with_driver
from .guard import database_guard
from .opening import connection_arguments, parse_url

JOURNAL = "journal:"  # before the path of a file of Optuna's JournalStorage
_TABLES = {"studies", "trials", "version_info", "alembic_version"}  # Optuna would write what is missing of them
_METRIC_NAMES = "study:metric_names"  # where Optuna keeps the names of objectives
_OURS = "space_digest"  # an attribute of every study of ours


@dataclass(frozen=True, kw_only=True)
class ForeignStudy:
    """An Optuna study as it was when it was read.

    Attributes:
        name: Its name.
        objectives: Names of its objectives, to whether more of each is better.
        trials: Its trials, in the order of their numbers.
    """

    name: str
    objectives: dict[str, bool]
    trials: Sequence[FrozenTrial]


def read_foreign_study(url: str, name: str) -> ForeignStudy:
    """Return an Optuna study; nothing is written.

    Args:
        url: SQLAlchemy URL, or ``journal:PATH`` for a file of Optuna's JournalStorage.
        name: Name of the study.

    Raises:
        InvalidInputError: There is no such storage or study, or the study is one of nas_sens itself.
        StorageError: The storage cannot be read.
    """
    with database_guard(url), _opened(url) as storage:
        studies = {s.study_name: s._study_id for s in storage.get_all_studies()}
        if name not in studies:
            raise InvalidInputError(
                f"there is no study {shown(name)} in {hide_password(url)}; "
                + (nearest(name, sorted(studies)) if studies else "it holds none")
            )
        study = studies[name]
        if _OURS in storage.get_study_user_attrs(study):
            raise InvalidInputError(f"{shown(name)} is a study of nas_sens itself; leave --optuna out")
        directions = storage.get_study_directions(study)
        names = storage.get_study_system_attrs(study).get(_METRIC_NAMES) or _by_default(len(directions))
        return ForeignStudy(
            name=name,
            objectives={n: d == StudyDirection.MAXIMIZE for n, d in zip(names, directions, strict=True)},
            trials=sorted(storage.get_all_trials(study, deepcopy=False), key=lambda t: t.number),
        )


def _by_default(n: int) -> list[str]:
    return ["value"] if n == 1 else [f"value_{i}" for i in range(n)]


@contextmanager
def _opened(url: str) -> Iterator[BaseStorage]:
    """Open a storage that is there.

    Yields:
        The storage.

    Raises:
        InvalidInputError: It is not, or is none of Optuna's.
    """
    if url.startswith(JOURNAL):
        yield _journal(url)
        return
    shown_url = hide_password(url)
    connect: dict[str, Any] = connection_arguments(url, shown_url, must_exist=True, timeout=60.0)
    parsed = parse_url(url, shown_url)
    options: dict[str, Any] = {"connect_args": connect}
    if parsed.get_backend_name() == "sqlite":
        place = f"{Path(str(parsed.database)).absolute().as_uri()}?mode=ro"
        options = {"creator": lambda: sqlite3.connect(place, uri=True, check_same_thread=False, **connect)}
    reached = with_driver(url)
    engine = sqlalchemy.create_engine(reached, **options)
    try:
        missing = _TABLES - set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if missing:
        raise InvalidInputError(f"the storage {shown_url} holds no study of Optuna; name the right one with --storage")
    try:
        storage = RDBStorage(reached, engine_kwargs=options, skip_table_creation=True)
    except RuntimeError as error:  # of another version of Optuna
        raise InvalidInputError(f"the storage {shown_url} cannot be read: {first_line(error)}") from error
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _journal(url: str) -> JournalStorage:
    path = Path(url.removeprefix(JOURNAL))
    if not path.is_file():  # Optuna would make it
        raise InvalidInputError(f"there is no file {str(path)!r}; name that of a JournalStorage, as in journal:PATH")
    with reading(f"the storage {url!r} must be a file of Optuna's JournalStorage"):
        return JournalStorage(JournalFileBackend(str(path)))
