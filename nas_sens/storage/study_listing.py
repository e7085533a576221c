"""The names of the studies in a database, read in a moment: for shells that complete them while somebody types."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy

from .drivers import with_driver

_OURS = "SELECT 1 FROM study_user_attributes a WHERE a.study_id = s.study_id AND a.key = 'space_digest'"
_SECONDS = 1  # that a server may take to answer


def listed_names(url: str, *, is_optuna: bool = False) -> list[str]:
    """Return the names of studies, the newest first. A file is only read, and none is made.

    Args:
        url: SQLAlchemy URL of the database.
        is_optuna: Whether studies of somebody's own are meant, and not those that nas_sens made.

    Raises:
        Exception: Whatever SQLAlchemy, the driver or SQLite raise: there is no such database, say.
    """
    query = f"SELECT s.study_name FROM studies s WHERE {'NOT ' * is_optuna}EXISTS ({_OURS}) ORDER BY s.study_id DESC"
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "").absolute().as_uri()
        with closing(sqlite3.connect(f"{file}?mode=ro", uri=True, timeout=_SECONDS)) as connection:
            return [str(name) for (name,) in connection.execute(query)]
    engine = sqlalchemy.create_engine(with_driver(url), connect_args={"connect_timeout": _SECONDS})
    try:
        with engine.connect() as server:
            return [str(name) for (name,) in server.execute(sqlalchemy.text(query))]
    finally:
        engine.dispose()
