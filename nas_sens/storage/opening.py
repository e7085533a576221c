"""Opening a database: what its URL must be, and tables that others may make at the same moment."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from ..core.boundary import reading
from ..core.errors import InvalidInputError, first_line
from ..core.messages import shown
from .drivers import with_driver
from .optuna_log import expected_experiments, quiet_optuna
from .url import DEFAULT_STORAGE

_DATABASES = {"sqlite": "", "postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}  # and their extras
_RACES = ("already exists", "unique", "duplicate", "deadlock", "tuple concurrently")
_OPEN_ATTEMPTS = 40  # several processes that make the tables of an empty database get in each other's way


def connection_arguments(url: str, shown_url: str, *, must_exist: bool, timeout: float) -> dict[str, Any]:
    """Return what the database's driver is told, having checked that an SQLite file can be there.

    Raises:
        InvalidInputError: The URL is malformed, or the file does not exist though it must.
    """
    parsed = parse_url(url, shown_url)
    if parsed.get_backend_name() != "sqlite":
        return {}
    if parsed.host:
        raise InvalidInputError(
            "the storage must have three slashes before the path of a file, as in sqlite:///nas_sens.db; given "
            f"{shown(shown_url)}"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError("the storage must be a file or a server, as a study has to outlive the command")
    path = Path(parsed.database)
    with reading(f"the storage {shown_url!r} must be the path of a file"):
        path.lstat() if os.path.lexists(path) else os.fsencode(path)
    if path.is_dir():
        raise InvalidInputError(f"the storage must be a file, but {str(path)!r} is a folder; name a file in it")
    if not path.parent.is_dir():
        way = "write its path without ~" if str(path).startswith("~") else "create it first"
        raise InvalidInputError(f"the folder of the storage {shown_url} does not exist; {way}")
    if must_exist and not path.is_file():
        raise InvalidInputError(
            f"there is no database {str(path)!r}; run a search first, or name the right one with --storage"
        )
    if must_exist and not _has_studies(path):
        raise InvalidInputError(
            f"the database {str(path)!r} holds no study; run a search first, or name the right one with --storage"
        )
    return {"timeout": timeout}


def _has_studies(path: Path) -> bool:
    """Return whether Optuna's tables are in an SQLite file, of which nothing is said if it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'studies'").fetchall())
    except (sqlite3.Error, ValueError):  # that is told when it is opened
        return True


def parse_url(url: str, shown_url: str) -> sqlalchemy.URL:
    """Return the parts of a storage's URL, having checked that its database is one that can be used.

    Raises:
        InvalidInputError: It is no URL, a character in its password is not escaped, or it is for another kind of
            storage, or for a driver that is not installed.
    """
    if not re.match(r"sqlite\b", url) and url.count("@") > 1:
        raise InvalidInputError(
            f"the storage's URL has more than one @; inside of its user or password, write @ as %40, : as %3A and / as "
            f"%2F; given {shown(shown_url)}"
        )
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except (SQLAlchemyError, ValueError) as error:  # the latter for a port that is no number
        path = re.fullmatch(r"sqlite:(?!/)(.+)", url)
        is_server = re.match(rf"({'|'.join(set(_DATABASES) - {'sqlite'})})\b", url)
        near = f"{is_server[1]}://USER@HOST:PORT/DATABASE" if is_server else DEFAULT_STORAGE
        near = f"sqlite:///{path.group(1)}" if path else near
        raise InvalidInputError(
            f"the storage must be a database URL such as {near}; given {shown(shown_url)}"
        ) from error
    name = parsed.get_backend_name()
    if name not in _DATABASES:
        meant = "postgresql" if name == "postgres" else name.lower()
        hint = f"; write {meant}:// for it" if meant in _DATABASES else ""
        raise InvalidInputError(
            f"the storage must be SQLite, PostgreSQL, MySQL or MariaDB, as in sqlite:///nas_sens.db or "
            f"postgresql://USER@HOST/DATABASE; given {shown(shown_url)}{hint}"
        )
    parsed = sqlalchemy.engine.make_url(with_driver(url))
    try:
        dialect = parsed.get_dialect()
        dialect.import_dbapi()
    except NoSuchModuleError as error:
        raise InvalidInputError(
            f"SQLAlchemy has no driver {parsed.drivername!r}; given {shown(shown_url)}; leave it out, as in {name}://…"
        ) from error
    except ImportError as error:
        has_driver = "+" in parsed.drivername and "+" in url.partition(":")[0]  # that somebody named
        extra = f"; pip install 'nas-sens[{_DATABASES[name]}]'" if _DATABASES[name] else ""
        extra = f"; install it, or leave the driver out, as in {name}://…" if has_driver else extra
        raise InvalidInputError(f"the storage {shown_url!r} needs a module: {first_line(error)}{extra}") from error
    if dialect.is_async:
        raise InvalidInputError(
            f"the storage must have a driver that waits, but {parsed.drivername!r} is asynchronous; take {name}://…"
        )
    if parsed.port is not None and not 0 <= parsed.port < 2**16:
        raise InvalidInputError(f"the storage's port must lie between 0 and 65,535; given {shown(parsed.port)}")
    return parsed


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
