"""Whether a database can be used, looked at without writing into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import sqlalchemy
from optuna.storages._rdb import models

from ..core.errors import StorageError
from ..core.secrets import hide_password
from .drivers import with_driver
from .guard import database_guard
from .opening import connection_arguments, parse_url
from .schema import is_known_schema

_SECONDS = 5.0  # that a locked file is waited for, and a server
_STUDIES = """
    SELECT s.study_name FROM studies s JOIN study_user_attributes a ON a.study_id = s.study_id
    WHERE a.key = 'space_digest'"""
_OF_NOW = " AND EXISTS (SELECT 1 FROM study_user_attributes l WHERE l.study_id = s.study_id AND l.key = 'layout')"


class DatabaseState(NamedTuple):
    """What a database is like.

    Attributes:
        is_there: Whether Optuna's tables are in it; if not, the first search makes them.
        schema: Version of Optuna's tables; None if they are not there.
        n_studies: Number of studies that nas_sens made.
        n_earlier: How many of these an earlier version made, which ``nas-sens migrate`` brings up to date.
        is_fast: Whether the installed Optuna has the tables that many trials are written into at once.
    """

    is_there: bool
    schema: int | None
    n_studies: int
    n_earlier: int
    is_fast: bool


def state_of(url: str) -> DatabaseState:
    """Return what the database at a URL is like; nothing is made or changed.

    Raises:
        InvalidInputError: The URL is malformed, or its file cannot be there.
        StorageError: It does not answer, cannot be written, or its tables are those of another Optuna.
    """
    shown = hide_password(url)
    connection_arguments(url, shown, must_exist=False, timeout=_SECONDS)
    parsed = parse_url(url, shown)
    is_file = parsed.get_backend_name() == "sqlite"
    path = Path(parsed.database or "")
    written = path if path.exists() else path.parent
    if is_file and not os.access(written, os.W_OK):
        raise StorageError(f"{str(written)!r} cannot be written; give another place with --storage")
    if is_file and not path.exists():
        return DatabaseState(False, None, 0, 0, is_known_schema())
    timeout = {"timeout": _SECONDS} if is_file else {"connect_timeout": round(_SECONDS)}
    engine = sqlalchemy.create_engine(with_driver(url), connect_args=timeout)
    try:
        with database_guard(url), engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("version_info"):
                return DatabaseState(False, None, 0, 0, is_known_schema())
            version = connection.execute(sqlalchemy.text("SELECT schema_version FROM version_info")).scalar()
            n, n_now = (
                len(connection.execute(sqlalchemy.text(query)).fetchall()) for query in (_STUDIES, _STUDIES + _OF_NOW)
            )
    finally:
        engine.dispose()
    if version != models.SCHEMA_VERSION:
        raise StorageError(
            f"the tables of {shown} are of Optuna's schema {version}, and the installed Optuna has "
            f"{models.SCHEMA_VERSION}; run: optuna storage upgrade --storage {shown}"
        )
    return DatabaseState(True, int(version), n, n - n_now, is_known_schema())
