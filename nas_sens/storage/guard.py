"""What every use of a database is wrapped in: errors become one line, a Ctrl-C waits for what is in hand.

And a server that is away is waited for, where work is under way that would be lost otherwise.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from ..core.boundary import is_foreign, reason
from ..core.errors import NasSensError, StorageError, first_line
from ..core.interrupts import finish_first
from ..core.secrets import hide_password, redact

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds


class StorageAwayError(StorageError):
    """The database does not answer now, and may soon."""


@contextmanager
def database_guard(url: str) -> Iterator[None]:
    """Turn errors of the database at ``url`` into a :class:`StorageError` of one line, without its password.

    A Ctrl-C takes effect at the end of the block, a second one at once: libraries print a traceback when they are
    interrupted while they give a connection back.

    Raises:
        StorageError: The database failed inside the ``with`` block, or holds what cannot be read; a
            `StorageAwayError` if that may pass.
        NasSensError: Those of nas_sens are let through.
        Exception: So are its faults.
    """
    try:
        with finish_first():
            yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = error.__cause__ or error
        kind = StorageAwayError if _is_away(error, url) or _is_away(cause, url) else StorageError
        raise kind(f"the storage {hide_password(url)} failed: {line_of(cause, url)}") from error
    except NasSensError:
        raise
    except Exception as error:
        if not is_foreign(error):
            raise
        # Of Optuna, SQLAlchemy or JSON, on what nas_sens never writes: the file is damaged, or somebody altered it.
        raise StorageError(
            f"the storage {hide_password(url)} holds what cannot be read ({type(error).__name__}: "
            f"{redact(reason(error), url)}); restore it, or begin a study in another one"
        ) from error


def line_of(error: BaseException, url: str) -> str:
    """Return the first line of an error without the password, should the database's driver repeat it."""
    return redact(first_line(error), url)


def _is_away(error: BaseException, url: str) -> bool:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, OperationalError):
        return False
    # A file that cannot be written stays so; a server that refuses may be starting.
    return "database is locked" in str(error) if url.startswith("sqlite") else True


class _Patient(Protocol):
    patience_seconds: float
    on_away: Callable[[str], None]


_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound=_Patient)


def patient(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Return a method that waits for a database that does not answer, made of one that may be called twice.

    Its object says how long (see `patiently`).
    """

    @functools.wraps(method)
    def call(self: _S, *args: Any, **kwargs: Any) -> _T:
        return patiently(self, lambda: method(self, *args, **kwargs))

    return call


def patiently(whose: _Patient, call: Callable[[], _T]) -> _T:
    """Return what a call returns that may be made twice, made again while the database does not answer.

    Args:
        whose: Says how long, as ``patience_seconds``, and is told of the first time by ``on_away``.
        call: The call.

    Raises:
        StorageAwayError: The database has not answered for so long.
    """
    end, pause = time.monotonic() + whose.patience_seconds, _FIRST_PAUSE
    while True:
        try:
            return call()
        except StorageAwayError as error:
            if time.monotonic() >= end:
                raise
            if pause == _FIRST_PAUSE:
                whose.on_away(f"{error}; trying again for {whose.patience_seconds:.0f} s")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
