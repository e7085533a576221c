"""Which driver a database is reached by where its URL names none: one that is installed."""

from __future__ import annotations

import importlib.util

import sqlalchemy

# SQLAlchemy's own choice first; it has another one for PostgreSQL since 2.1, and for MySQL one that must be compiled.
_DRIVERS = {
    "postgresql": {"psycopg": "psycopg", "psycopg2": "psycopg2"},
    "mysql": {"mysqldb": "MySQLdb", "pymysql": "pymysql"},
    "mariadb": {"mysqldb": "MySQLdb", "pymysql": "pymysql"},
}


def with_driver(url: str) -> str:
    """Return a URL such as ``mysql://…`` with the driver that is installed; others, and where none is, as they are."""
    parsed = sqlalchemy.engine.make_url(url)
    for driver, module in _DRIVERS.get(parsed.drivername, {}).items():
        if importlib.util.find_spec(module) is not None:
            named = parsed.set(drivername=f"{parsed.drivername}+{driver}")
            return named.render_as_string(hide_password=False)
    return url
