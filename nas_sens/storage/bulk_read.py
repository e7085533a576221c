"""Reading many finished trials at once, by one query on Optuna's tables of the known schema (see `bulk`)."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
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


def read_intermediate_values(storage: RDBStorage, study_id: int, *, after: int = -1) -> dict[int, dict[int, float]]:
    """Return the intermediate values of a study's trials: identifier of the trial to step to value.

    Args:
        storage: Optuna's storage, of a known schema.
        study_id: The study's identifier.
        after: Trials with identifiers up to this one are left out.
    """
    model = models.TrialIntermediateValueModel
    trial, value = models.TrialModel.__table__, model.__table__
    columns = (value.c.trial_id, value.c.step, value.c.intermediate_value, value.c.intermediate_value_type)
    query = (
        sqlalchemy.select(*columns)
        .join(trial, trial.c.trial_id == value.c.trial_id)
        .where(trial.c.study_id == study_id, trial.c.trial_id > after)
        .order_by(value.c.trial_id, value.c.step)
    )
    found: dict[int, dict[int, float]] = {}
    with storage.engine.connect() as connection:
        for i, step, stored, kind in connection.execute(query):
            found.setdefault(i, {})[step] = model.stored_repr_to_intermediate_value(stored, kind)
    return found


def trial_ids(storage: RDBStorage, study_id: int, numbers: Iterable[int]) -> dict[int, int]:
    """Return trial number to identifier in the database."""
    trial = models.TrialModel.__table__
    query = sqlalchemy.select(trial.c.number, trial.c.trial_id).where(
        trial.c.study_id == study_id, trial.c.number.in_(list(numbers))
    )
    with storage.engine.connect() as connection:
        return {row.number: row.trial_id for row in connection.execute(query)}


def count_trials(storage: RDBStorage, study_id: int) -> int:
    """Return the number of trials of a study."""
    trial = models.TrialModel.__table__
    with storage.engine.connect() as connection:
        query = sqlalchemy.select(sqlalchemy.func.count()).where(trial.c.study_id == study_id)
        return int(connection.execute(query).scalar_one())


def excerpt_ids(storage: RDBStorage, study_id: int, *, key: str, n: int) -> set[int]:
    """Return the identifiers of the ``n`` trials of a study whose attribute ``key`` comes first in the alphabet."""
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    query = (
        sqlalchemy.select(attribute.c.trial_id)
        .join(trial, trial.c.trial_id == attribute.c.trial_id)
        .where(trial.c.study_id == study_id, attribute.c.key == key)
        .order_by(attribute.c.value_json)
        .limit(n)
    )
    with storage.engine.connect() as connection:
        return set(connection.execute(query).scalars())
