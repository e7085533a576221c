"""Which process works on what: one small SQL table, so that several processes never train the same architecture."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy
from sqlalchemy import Column, Float, MetaData, String, Table
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

STALE_SECONDS = 600.0

_METADATA = MetaData()
_TABLE = Table(
    "nas_sens_claims",
    _METADATA,
    Column("study", String(255), primary_key=True),
    Column("item", String(64), primary_key=True),
    Column("worker", String(255), nullable=False),
    Column("heartbeat", Float, nullable=False),
)


class Claims:
    """Claims of this process in one database.

    A claim is taken by inserting a row, which the primary key lets only one process do. It is given up by deleting the
    row, or lost when its process is gone: at once if that was on this machine, after ``STALE_SECONDS`` without a
    heartbeat otherwise.

    Args:
        engine: Engine of the database.
        guard: Makes a context in which errors of the database become one line.
    """

    def __init__(
        self, engine: sqlalchemy.Engine, guard: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._engine = engine
        self._guard = guard
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{_start_time(os.getpid())}"
        try:
            _METADATA.create_all(engine, checkfirst=True)
        except (OperationalError, ProgrammingError):
            if not sqlalchemy.inspect(engine).has_table(_TABLE.name):  # else another process was first
                raise

    def take(self, study: str, item: str) -> bool:
        """Return whether this process has an item now, having tried to claim it."""
        row = {"study": study, "item": item, "worker": self._worker, "heartbeat": time.time()}
        with self._guard():
            try:
                with self._engine.begin() as connection:
                    connection.execute(_TABLE.insert().values(row))
                return True
            except IntegrityError:
                return self._take_over(study, item)

    def beat(self, study: str, item: str) -> None:
        """Show that this process still works on its claim."""
        with self._guard():
            self._update(study, item, self._worker, {"heartbeat": time.time()})

    def release(self, study: str, item: str) -> None:
        """Give up this process's claim."""
        with self._guard(), self._engine.begin() as connection:
            connection.execute(_TABLE.delete().where(*self._is(study, item, self._worker)))

    @contextmanager
    def hold(self, study: str, item: str, *, poll_seconds: float = 0.05) -> Iterator[None]:
        """Wait for a claim, keep it inside the ``with`` block, and give it up."""
        while not self.take(study, item):
            time.sleep(poll_seconds)
        try:
            yield
        finally:
            self.release(study, item)

    def _take_over(self, study: str, item: str) -> bool:
        with self._engine.begin() as connection:
            query = sqlalchemy.select(_TABLE.c.worker, _TABLE.c.heartbeat)
            found = connection.execute(query.where(_TABLE.c.study == study, _TABLE.c.item == item)).first()
        if found is None or found.worker == self._worker:
            return found is not None
        if not _is_gone(found.worker, found.heartbeat):
            return False
        return self._update(study, item, found.worker, {"worker": self._worker, "heartbeat": time.time()})

    def _update(self, study: str, item: str, worker: str, values: dict[str, object]) -> bool:
        with self._engine.begin() as connection:
            result = connection.execute(_TABLE.update().where(*self._is(study, item, worker)).values(values))
        return result.rowcount == 1

    @staticmethod
    def _is(study: str, item: str, worker: str) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
        return (_TABLE.c.study == study, _TABLE.c.item == item, _TABLE.c.worker == worker)


def _is_gone(worker: str, heartbeat: float) -> bool:
    host, pid, start = worker.rsplit(":", 2)
    if host == socket.gethostname() and start:
        return _start_time(int(pid)) != start
    if host == socket.gethostname() and os.name == "posix" and not _exists(int(pid)):
        return True
    return time.time() - heartbeat > STALE_SECONDS


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; "" if there is none or the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in ("Z", "X") else rest[18]  # a zombie works no more, though nobody has reaped it


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
