"""Reading many trials at once, by one query on Optuna's tables of the known schema (see `bulk_write`)."""

from __future__ import annotations

import gc
import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import func

from ..core.errors import StorageError
from ..core.messages import shown
from .attribute_types import ADVICE

_ROWS = 10_000  # that are fetched together
_PARAMETERS = 5_000  # of one query
_SEPARATOR = "\x1f"  # of names; ASCII has it for this, and no attribute of ours has it


class StoredTrial(NamedTuple):
    """A trial as it lies in the database; what it was suggested is left there, as its user attributes say it too.

    Attributes:
        trial_id: Its identifier in the database.
        number: Its number in the study.
        state: Its state when it was read.
        user_attrs: Its user attributes.
    """

    trial_id: int
    number: int
    state: TrialState
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


def read_trials(
    storage: RDBStorage, study_id: int, *, after: int = -1, among: Collection[int] = ()
) -> list[StoredTrial]:
    """Return the trials of a study in the order of their identifiers.

    Args:
        storage: Optuna's storage, of a known schema.
        study_id: The study's identifier.
        after: Of trials with identifiers up to this one, only those ``among`` these are read.
        among: A few identifiers.
    """
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    wanted = trial.c.trial_id > after
    if among:  # left out otherwise, as not every database uses its index for an empty list
        wanted = sqlalchemy.or_(wanted, trial.c.trial_id.in_(sorted(among)))
    where = sqlalchemy.and_(trial.c.study_id == study_id, wanted)
    joined = trial.outerjoin(attribute, trial.c.trial_id == attribute.c.trial_id)  # others' trials may have none
    with storage.engine.connect() as connection:
        return list(_read(connection, trial, attribute, joined, where))


def _read(
    connection: sqlalchemy.Connection, trial: Any, attribute: Any, joined: Any, where: Any
) -> Iterator[StoredTrial]:
    """Yield the trials with the values of their attributes, decoded from JSON texts.

    Raises:
        StorageError: A text is no JSON, as somebody altered it.
    """
    # One text of many values is decoded ten times faster than many texts.
    head = (trial.c.trial_id, trial.c.number, trial.c.state)
    if connection.dialect.name != "sqlite":  # elsewhere long texts would be cut, or the functions have other names
        query = sqlalchemy.select(*head, attribute.c.key, attribute.c.value_json)
        found: dict[int, StoredTrial] = {}
        for rows in connection.execute(query.select_from(joined).where(where).order_by(trial.c.trial_id)).partitions(
            _ROWS
        ):
            values = _decoded(f"[{','.join(row[4] or 'null' for row in rows)}]", len(rows))
            for (i, number, state, name, _), value in zip(rows, values, strict=True):
                attributes = found.setdefault(i, StoredTrial(i, number, state, {})).user_attrs
                attributes.update({} if name is None else {name: value})
        yield from found.values()
        return
    # One row a trial instead of one an attribute: SQLite joins them faster than Python. Names and values stand in lists
    # of their own, in the same order, as most trials have the same names.
    names, texts = func.group_concat(attribute.c.key, _SEPARATOR), func.group_concat(attribute.c.value_json)
    query = sqlalchemy.select(*head, names, texts).select_from(joined).where(where)
    split: dict[str, list[str]] = {}
    for rows in connection.execute(query.group_by(trial.c.trial_id).order_by(trial.c.trial_id)).partitions(_ROWS):
        decoded = _decoded(f"[{','.join(f'[{row[4]}]' if row[4] else '[]' for row in rows)}]", len(rows))
        for (i, number, state, together, _), values in zip(rows, decoded, strict=True):
            if together not in split:
                split[together] = together.split(_SEPARATOR) if together else []
            if len(values) != len(split[together]):
                raise StorageError(f"trial {number} has values that are no JSON, or none; {ADVICE}")
            yield StoredTrial(i, number, state, dict(zip(split[together], values, strict=True)))


def _decoded(text: str, n: int) -> list[Any]:
    """Return the values of a JSON list.

    Raises:
        StorageError: It has more or fewer than were written.
    """
    values: list[Any] = json.loads(text)
    if len(values) != n:
        raise StorageError(f"a trial has a value that is no JSON; {ADVICE}")
    return values


def _number(stored: Any) -> Any:
    """Return what stands in a column of numbers, in which SQLite keeps whatever somebody writes; None for NaN.

    Raises:
        StorageError: It is no number.
    """
    if not isinstance(stored, (int, float, type(None))):
        raise StorageError(f"a value of a trial must be a number; found {shown(stored)}; {ADVICE}")
    return stored


def read_intermediate_values(storage: RDBStorage, trial_ids: Iterable[int]) -> dict[int, dict[int, float]]:
    """Return the intermediate values of trials: identifier of the trial to step to value."""
    model = models.TrialIntermediateValueModel
    value = model.__table__
    columns = (value.c.trial_id, value.c.step, value.c.intermediate_value, value.c.intermediate_value_type)
    found: dict[int, dict[int, float]] = {}
    with storage.engine.connect() as connection:
        for ids in portions(trial_ids):
            query = (
                sqlalchemy.select(*columns).where(value.c.trial_id.in_(ids)).order_by(value.c.trial_id, value.c.step)
            )
            for i, step, stored, kind in connection.execute(query):
                found.setdefault(i, {})[_number(step)] = model.stored_repr_to_intermediate_value(_number(stored), kind)
    return found


def read_values(storage: RDBStorage, trial_ids: Iterable[int]) -> dict[int, float]:
    """Return the objective's value of trials that have one: identifier of the trial to value."""
    model = models.TrialValueModel
    value = model.__table__
    found: dict[int, float] = {}
    with storage.engine.connect() as connection:
        for ids in portions(trial_ids):
            query = sqlalchemy.select(value.c.trial_id, value.c.value, value.c.value_type)
            for i, stored, kind in connection.execute(query.where(value.c.trial_id.in_(ids), value.c.objective == 0)):
                found[i] = model.stored_repr_to_value(_number(stored), kind)
    return found


def trial_ids(storage: RDBStorage, study_id: int, numbers: Iterable[int]) -> dict[int, int]:
    """Return trial number to identifier in the database."""
    trial = models.TrialModel.__table__
    found: dict[int, int] = {}
    with storage.engine.connect() as connection:
        for portion in portions(numbers):
            query = sqlalchemy.select(trial.c.number, trial.c.trial_id)
            query = query.where(trial.c.study_id == study_id, trial.c.number.in_(portion))
            found |= {row.number: row.trial_id for row in connection.execute(query)}
    return found


def read_suggested(
    storage: RDBStorage, study_id: int, numbers: Iterable[int]
) -> dict[int, tuple[dict[str, Any], dict[str, BaseDistribution]]]:
    """Return trial number to what was suggested for it: parameters, and their distributions."""
    param = models.TrialParamModel.__table__
    by_id = {i: number for number, i in trial_ids(storage, study_id, numbers).items()}
    found: dict[int, tuple[dict[str, Any], dict[str, BaseDistribution]]] = {n: ({}, {}) for n in by_id.values()}
    decoded: dict[str, BaseDistribution] = {}
    columns = (param.c.trial_id, param.c.param_name, param.c.param_value, param.c.distribution_json)
    with storage.engine.connect() as connection:
        for ids in portions(by_id):
            query = sqlalchemy.select(*columns).where(param.c.trial_id.in_(ids)).order_by(param.c.param_id)
            for i, name, value, text in connection.execute(query):
                if text not in decoded:
                    decoded[text] = json_to_distribution(text)
                params, distributions = found[by_id[i]]
                params[name], distributions[name] = decoded[text].to_external_repr(value), decoded[text]
    return found


def with_heartbeat(storage: RDBStorage, trial_ids: Iterable[int]) -> set[int]:
    """Return the identifiers of those trials that have a heartbeat."""
    heartbeat = models.TrialHeartbeatModel.__table__
    found: set[int] = set()
    with storage.engine.connect() as connection:
        for ids in portions(trial_ids):
            query = sqlalchemy.select(heartbeat.c.trial_id).where(heartbeat.c.trial_id.in_(ids))
            found |= set(connection.execute(query).scalars())
    return found


def portions(items: Iterable[int]) -> Iterator[list[int]]:
    """Yield items in lists that databases take as parameters of one query."""
    everything = list(items)
    yield from (everything[i : i + _PARAMETERS] for i in range(0, len(everything), _PARAMETERS))


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


def ids_with(storage: RDBStorage, study_id: int, *, key: str) -> set[int]:
    """Return the identifiers of the trials of a study that have an attribute."""
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    query = sqlalchemy.select(attribute.c.trial_id).join(trial, trial.c.trial_id == attribute.c.trial_id)
    with storage.engine.connect() as connection:
        return set(connection.execute(query.where(trial.c.study_id == study_id, attribute.c.key == key)).scalars())
