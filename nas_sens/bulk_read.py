"""Reading many finished trials at once, by one query on Optuna's tables of the known schema (see `bulk`)."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import func

_ROWS = 10_000  # that are fetched together
_SEPARATOR = "\x1f"  # of names; ASCII has it for this, and no attribute of ours has it


class StoredTrial(NamedTuple):
    """A trial as it lies in the database; what it was suggested is left there, as its user attributes say it too.

    Attributes:
        trial_id: Its identifier in the database.
        number: Its number in the study.
        user_attrs: Its user attributes.
    """

    trial_id: int
    number: int
    user_attrs: dict[str, Any]


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave cyclic garbage alone: looking for some among a million new objects takes a fifth of the time of a read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_finished(storage: RDBStorage, study_id: int, *, after: int = -1) -> list[StoredTrial]:
    """Return all finished trials of a study that have user attributes, or those behind one, in the order of storing.

    Args:
        storage: Optuna's storage, of a known schema.
        study_id: The study's identifier.
        after: Trials with identifiers up to this one are left out.
    """
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    finished = [s for s in trial.c.state.type.enum_class if s.is_finished()]
    where = sqlalchemy.and_(trial.c.study_id == study_id, trial.c.trial_id > after, trial.c.state.in_(finished))
    joined = trial.join(attribute, trial.c.trial_id == attribute.c.trial_id)
    with storage.engine.connect() as connection:
        return list(_read(connection, trial, attribute, joined, where))


def _read(
    connection: sqlalchemy.Connection, trial: Any, attribute: Any, joined: Any, where: Any
) -> Iterator[StoredTrial]:
    """Yield the trials with the values of their attributes, decoded from JSON texts."""
    # One text of many values is decoded ten times faster than many texts.
    if connection.dialect.name != "sqlite":  # elsewhere long texts would be cut, or the functions have other names
        columns = (trial.c.trial_id, trial.c.number, attribute.c.key, attribute.c.value_json)
        query = sqlalchemy.select(*columns).select_from(joined).where(where).order_by(trial.c.trial_id)
        found: dict[int, StoredTrial] = {}
        for rows in connection.execute(query).partitions(_ROWS):
            values = json.loads(f"[{','.join(row[3] for row in rows)}]")
            for (i, number, name, _), value in zip(rows, values, strict=True):
                found.setdefault(i, StoredTrial(i, number, {})).user_attrs[name] = value
        yield from found.values()
        return
    # One row a trial instead of one an attribute: SQLite joins them faster than Python. Names and values stand in lists
    # of their own, in the same order, as most trials have the same names.
    names, texts = func.group_concat(attribute.c.key, _SEPARATOR), func.group_concat(attribute.c.value_json)
    query = sqlalchemy.select(trial.c.trial_id, trial.c.number, names, texts).select_from(joined).where(where)
    split: dict[str, list[str]] = {}
    for rows in connection.execute(query.group_by(trial.c.trial_id).order_by(trial.c.trial_id)).partitions(_ROWS):
        decoded = json.loads(f"[{','.join(f'[{row[3]}]' for row in rows)}]")
        for (i, number, together, _), values in zip(rows, decoded, strict=True):
            if together not in split:
                split[together] = together.split(_SEPARATOR)
            yield StoredTrial(i, number, dict(zip(split[together], values, strict=True)))
