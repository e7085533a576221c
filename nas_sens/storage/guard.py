"""What every use of a database is wrapped in: errors become one line, and a Ctrl-C waits for what is in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from ..core.errors import StorageError, first_line
from ..core.interrupts import finish_first
from .url import hide_password, redact


@contextmanager
def database_guard(url: str) -> Iterator[None]:
    """Turn errors of the database at ``url`` into a :class:`StorageError` of one line, without its password.

    A Ctrl-C takes effect at the end of the block, a second one at once: libraries print a traceback when they are
    interrupted while they give a connection back.

    Raises:
        StorageError: The database failed inside the ``with`` block.
    """
    try:
        with finish_first():
            yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        raise StorageError(f"the storage {hide_password(url)} failed: {line_of(cause, url)}") from error


def line_of(error: BaseException, url: str) -> str:
    """Return the first line of an error without the password, should the database's driver repeat it."""
    return redact(first_line(error), url)
