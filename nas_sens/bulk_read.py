"""Reading many finished trials at once, by three queries on Optuna's tables of the known schema (see `bulk`)."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy
from optuna.distributions import json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import func, literal

_ROWS = 10_000  # that are fetched together


@dataclass
class StoredTrial:
    """A trial as it lies in the database.

    Attributes:
        trial_id: Its identifier in the database.
        number: Its number in the study.
        user_attrs: Its user attributes.
        params: Its parameters.
    """

    trial_id: int
    number: int
    user_attrs: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


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
    """Return all finished trials of a study, or those behind one, in the order of their identifiers.

    Args:
        storage: Optuna's storage, of a known schema.
        study_id: The study's identifier.
        after: Trials with identifiers up to this one are left out.
    """
    trial = models.TrialModel.__table__
    finished = [s for s in trial.c.state.type.enum_class if s.is_finished()]
    where = sqlalchemy.and_(trial.c.study_id == study_id, trial.c.trial_id > after, trial.c.state.in_(finished))
    query = sqlalchemy.select(trial.c.trial_id, trial.c.number).where(where).order_by(trial.c.trial_id)
    with storage.engine.connect() as connection:
        found = {i: StoredTrial(i, number) for i, number in connection.execute(query)}
        if not found:
            return []
        attribute, param = models.TrialUserAttributeModel.__table__, models.TrialParamModel.__table__
        for i, values in _objects(connection, trial, attribute, attribute.c.key, attribute.c.value_json, where):
            found[i].user_attrs = values
        names = (param.c.param_name, param.c.distribution_json)
        of_study = sqlalchemy.select(*names).join(trial, trial.c.trial_id == param.c.trial_id).where(where).distinct()
        distributions = [(name, text, json_to_distribution(text)) for name, text in connection.execute(of_study)]
        for name, text, distribution in distributions:  # a name may have had several
            condition = sqlalchemy.and_(where, param.c.param_name == name, param.c.distribution_json == text)
            columns = (param.c.trial_id, param.c.param_value)
            for rows in _joined(connection, trial, param, columns, condition).partitions(_ROWS):
                for i, value in rows:
                    found[i].params[name] = distribution.to_external_repr(value)
    return list(found.values())


def _objects(
    connection: sqlalchemy.Connection, trial: Any, child: Any, key: Any, text: Any, where: Any
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield trial identifier and key to value, decoded from JSON texts."""
    if connection.dialect.name != "sqlite":  # elsewhere long texts would be cut, or the functions have other names
        found: dict[int, dict[str, Any]] = {}
        for rows in _joined(connection, trial, child, (child.c.trial_id, key, text), where).partitions(_ROWS):
            # One text of many values is decoded ten times faster than many texts.
            values = json.loads(f"[{','.join(row[2] for row in rows)}]")
            for (i, name, _), value in zip(rows, values, strict=True):
                found.setdefault(i, {})[name] = value
        yield from found.items()
        return
    # One row a trial instead of one an attribute: SQLite joins them faster than Python.
    joined = func.group_concat(func.json_quote(key) + literal(":") + text)
    query = (
        sqlalchemy.select(trial.c.trial_id, joined).select_from(child).join(trial, trial.c.trial_id == child.c.trial_id)
    )
    for rows in connection.execute(query.where(where).group_by(trial.c.trial_id)).partitions(_ROWS):
        yield from zip(
            (row[0] for row in rows), json.loads(f"[{','.join(f'{{{row[1]}}}' for row in rows)}]"), strict=True
        )


def _joined(connection: sqlalchemy.Connection, trial: Any, child: Any, columns: Sequence[Any], where: Any) -> Any:
    query = sqlalchemy.select(*columns).join(trial, trial.c.trial_id == child.c.trial_id).where(where)
    return connection.execute(query.order_by(child.c.trial_id, *child.primary_key.columns))
