"""Leases: who does what Optuna has no trial for, the creation of a study and blocks of scoring.

One small SQL table beside Optuna's. A lease is taken by inserting a row, which the primary key lets only one do. Its
holder's thread (see `heartbeat`) renews it; one that is not renewed for the grace time is over, and whoever wants it
next takes it over. All times are the database's: clocks of machines, their names and process identifiers decide
nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy
from sqlalchemy import Column, DateTime, MetaData, String, Table, func
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

GRACE_SECONDS = 60.0

_METADATA = MetaData()
_TABLE = Table(
    "nas_sens_leases",
    _METADATA,
    Column("study", String(255), primary_key=True),
    Column("item", String(64), primary_key=True),
    Column("holder", String(255), nullable=False),
    Column("heartbeat", DateTime, nullable=False),
)


class Leases:
    """Leases of one database.

    Args:
        engine: Engine of the database.
        worker: Name of this worker, by which whoever started it can give up its leases.
        grace_seconds: After which a lease that nobody renews is over.
        ask: Makes a call that asks the database, and makes it again if it was away.
        on_change: Called when a lease was taken or given up.

    Attributes:
        held: Leases that are held here: (study, item) to the holder's name in the table.
    """

    def __init__(
        self,
        engine: sqlalchemy.Engine,
        *,
        worker: str = "",
        grace_seconds: float = GRACE_SECONDS,
        ask: Callable[[Callable[[], bool]], bool] = lambda call: call(),
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine, self._worker, self._ask, self._on_change = engine, worker, ask, on_change
        self._grace_seconds = grace_seconds
        self.held: dict[tuple[str, str], str] = {}
        try:
            _METADATA.create_all(engine, checkfirst=True)
        except (OperationalError, ProgrammingError):
            if not sqlalchemy.inspect(engine).has_table(_TABLE.name):  # else another process was first
                raise

    def take(self, study: str, item: str) -> bool:
        """Return whether an item is held here now, having tried to take it; whoever holds it already does not.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; the item is not held then.
        """
        holder = f"{self._worker}/{uuid.uuid4().hex}"
        try:
            is_ours = self._ask(lambda: self._insert(study, item, holder) or self._take_over(study, item, holder))
        except KeyboardInterrupt:  # which the guard raises at its end
            self._ask(lambda: self._delete(*_is(study, item, holder)))
            raise
        if is_ours:
            self.held[study, item] = holder
            self._on_change()
        return is_ours

    def release(self, study: str, item: str) -> None:
        """Give up an item that is held here."""
        holder = self.held.pop((study, item))
        self._ask(lambda: self._delete(*_is(study, item, holder)))
        self._on_change()

    def release_worker(self, study: str, worker: str) -> None:
        """Give up what a worker held that has ended."""
        ours = (_TABLE.c.study == study, _TABLE.c.holder.startswith(f"{worker}/", autoescape=True))
        self._ask(lambda: self._delete(*ours))

    def renew(self) -> None:
        """Show that whoever holds leases here still works."""
        for (study, item), holder in list(self.held.items()):
            with self._engine.begin() as connection:
                row = _TABLE.update().where(*_is(study, item, holder))
                connection.execute(row.values(heartbeat=func.current_timestamp()))

    @contextmanager
    def claimed(self, study: str, item: str) -> Iterator[bool]:
        """Take an item for the ``with`` block, if nobody holds it.

        Yields:
            Whether it is held here.
        """
        is_ours = self.take(study, item)
        try:
            yield is_ours
        finally:
            if is_ours:
                self.release(study, item)

    @contextmanager
    def hold(
        self, study: str, item: str, *, poll_seconds: float = 0.05, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Wait for an item, hold it inside the ``with`` block, and give it up; ``on_wait`` is called while waiting."""
        while not self.take(study, item):
            on_wait()
            time.sleep(poll_seconds)
        try:
            yield
        finally:
            self.release(study, item)

    def _delete(self, *where: sqlalchemy.ColumnElement[bool]) -> bool:
        """Return whether there was such a row; there is none now."""
        with self._engine.begin() as connection:
            return connection.execute(_TABLE.delete().where(*where)).rowcount > 0

    def _insert(self, study: str, item: str, holder: str) -> bool:
        row = {"study": study, "item": item, "holder": holder, "heartbeat": func.current_timestamp()}
        try:
            with self._engine.begin() as connection:
                connection.execute(_TABLE.insert().values(row))
        except IntegrityError:
            return False
        return True

    def _take_over(self, study: str, item: str, holder: str) -> bool:
        """Return whether the lease was over, or has been taken by an earlier try, and is held here now."""
        row = _TABLE.update().where(_TABLE.c.study == study, _TABLE.c.item == item)
        query = sqlalchemy.select(_TABLE.c.holder, _TABLE.c.heartbeat, func.current_timestamp(type_=DateTime))
        with self._engine.begin() as connection:
            # A write that changes nothing locks the row, or it might be renewed or taken over at this moment.
            connection.execute(row.values(holder=_TABLE.c.holder))
            found = connection.execute(query.where(_TABLE.c.study == study, _TABLE.c.item == item)).first()
            if found is None:
                return False
            if found[0] != holder and not self._is_over(found[1], found[2]):
                return False
            connection.execute(row.values(holder=holder, heartbeat=func.current_timestamp()))
        return True

    def _is_over(self, heartbeat: datetime, now: datetime) -> bool:
        age = now.replace(tzinfo=None) - heartbeat.replace(tzinfo=None)
        return age > timedelta(seconds=self._grace_seconds)


def _is(study: str, item: str, holder: str) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
    return (_TABLE.c.study == study, _TABLE.c.item == item, _TABLE.c.holder == holder)
