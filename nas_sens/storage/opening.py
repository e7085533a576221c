"""Opening a database: what its URL must be, and tables that others may make at the same moment."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from ..core.errors import InvalidInputError
from .drivers import with_driver
from .optuna_log import expected_experiments, quiet_optuna
from .url import DEFAULT_STORAGE

_RACES = ("already exists", "unique", "duplicate", "deadlock", "tuple concurrently")
_OPEN_ATTEMPTS = 40  # several processes that make the tables of an empty database get in each other's way


def connection_arguments(url: str, shown_url: str, *, must_exist: bool, timeout: float) -> dict[str, Any]:
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


def open_database(url: str, connect: Mapping[str, Any], *, beat_seconds: float, grace_seconds: float) -> RDBStorage:
    """Return an open database with its tables, though other processes may make them at the same moment.

    Args:
        url: Its SQLAlchemy URL.
        connect: What the driver is told.
        beat_seconds: Between two heartbeats of a trial.
        grace_seconds: After which a trial without one is stale.

    Raises:
        SQLAlchemyError: It cannot be opened; as are the other three.
        StorageInternalError: See above.
        RuntimeError: See above.
        AssertionError: See above.
    """
    for _ in range(_OPEN_ATTEMPTS - 1):
        try:
            return _open_once(url, connect, beat_seconds, grace_seconds)
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError, AssertionError) as error:
            if not any(t in f"{error} {error.__cause__}".lower() for t in _RACES):
                raise
            time.sleep(0.05 + 0.1 * random.random())
    return _open_once(url, connect, beat_seconds, grace_seconds)


def _open_once(url: str, connect: Mapping[str, Any], beat_seconds: float, grace_seconds: float) -> RDBStorage:
    with quiet_optuna(), expected_experiments():
        return RDBStorage(
            with_driver(url),
            # Connections that were cut are noticed before they are used.
            engine_kwargs={"connect_args": dict(connect), "pool_pre_ping": not url.startswith("sqlite")},
            heartbeat_interval=max(1, round(beat_seconds)),
            grace_period=max(1, round(grace_seconds)),
        )
