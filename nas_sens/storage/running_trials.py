"""Trials that wait, run and finish, by one transaction each on Optuna's tables of the known schema (see `bulk_write`).

Optuna does the same through its interface, a transaction for every attribute; `queue` falls back on that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import func

from .bulk_write import insert_children, stored_times

_TRIAL = models.TrialModel.__table__
_HEARTBEAT = models.TrialHeartbeatModel.__table__
_ATTRIBUTE = models.TrialUserAttributeModel.__table__
_VALUE = models.TrialIntermediateValueModel.__table__


def start(storage: RDBStorage, trial_id: int, *, worker: str) -> bool:
    """Return whether a waiting trial runs now, and is ours: nobody else has started it.

    Its first heartbeat and the worker's name are stored with it, so that it is never without either.
    """
    started, _ = stored_times(datetime.now(), None)
    with storage.engine.begin() as connection:
        row = _TRIAL.update().where(_TRIAL.c.trial_id == trial_id, _TRIAL.c.state == TrialState.WAITING)
        if connection.execute(row.values(state=TrialState.RUNNING, datetime_start=started)).rowcount != 1:
            return False
        connection.execute(_HEARTBEAT.delete().where(_HEARTBEAT.c.trial_id == trial_id))
        connection.execute(_HEARTBEAT.insert().values(trial_id=trial_id, heartbeat=func.current_timestamp()))
        _replace_attributes(connection, trial_id, {"worker": worker})
    return True


def beat(storage: RDBStorage, trial_id: int, values: Mapping[int, float]) -> bool:
    """Return whether a trial still runs, its heartbeat renewed and new intermediate values stored."""
    with storage.engine.begin() as connection:
        connection.execute(
            _HEARTBEAT.update().where(_HEARTBEAT.c.trial_id == trial_id).values(heartbeat=func.current_timestamp())
        )
        query = sqlalchemy.select(_TRIAL.c.state).where(_TRIAL.c.trial_id == trial_id).with_for_update()
        if connection.execute(query).scalar() != TrialState.RUNNING:
            return False
        _replace_values(connection, trial_id, values)
    return True


def finish(storage: RDBStorage, trial_id: int, trial: FrozenTrial) -> bool:
    """Return whether a running trial is finished now, with everything that belongs to it; False if it was given up.

    Called again, as the connection was cut before it was known that all is stored, it says so.

    Args:
        storage: Optuna's storage.
        trial_id: Its identifier.
        trial: State, value, attributes and intermediate values; parameters are left as they are.
    """
    _, complete = stored_times(None, datetime.now())
    with storage.engine.begin() as connection:
        row = _TRIAL.update().where(_TRIAL.c.trial_id == trial_id, _TRIAL.c.state == TrialState.RUNNING)
        if connection.execute(row.values(state=trial.state, datetime_complete=complete)).rowcount != 1:
            return _is_stored(connection, trial_id, trial.state)
        connection.execute(_VALUE.delete().where(_VALUE.c.trial_id == trial_id))
        _delete_attributes(connection, trial_id, trial.user_attrs)
        insert_children(connection, [trial], [trial_id])
    return True


def _is_stored(connection: sqlalchemy.Connection, trial_id: int, state: TrialState) -> bool:
    """Return whether a trial was finished by its worker: who gives it up leaves it without a status."""
    query = sqlalchemy.select(_TRIAL.c.state).join(_ATTRIBUTE, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id)
    where = (_TRIAL.c.trial_id == trial_id, _ATTRIBUTE.c.key == "status")
    return bool(connection.execute(query.where(*where)).scalar() == state)


def put_back(storage: RDBStorage, trial_id: int) -> bool:
    """Return whether a running trial waits again."""
    with storage.engine.begin() as connection:
        row = _TRIAL.update().where(_TRIAL.c.trial_id == trial_id, _TRIAL.c.state == TrialState.RUNNING)
        if connection.execute(row.values(state=TrialState.WAITING, datetime_start=None)).rowcount != 1:
            return False
        connection.execute(_HEARTBEAT.delete().where(_HEARTBEAT.c.trial_id == trial_id))
    return True


def _replace_attributes(connection: sqlalchemy.Connection, trial_id: int, attributes: Mapping[str, Any]) -> None:
    _delete_attributes(connection, trial_id, attributes)
    rows = [{"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
    connection.execute(_ATTRIBUTE.insert(), rows)


def _delete_attributes(connection: sqlalchemy.Connection, trial_id: int, keys: Iterable[str]) -> None:
    where = (_ATTRIBUTE.c.trial_id == trial_id, _ATTRIBUTE.c.key.in_(list(keys)))
    connection.execute(_ATTRIBUTE.delete().where(*where))


def _replace_values(connection: sqlalchemy.Connection, trial_id: int, values: Mapping[int, float]) -> None:
    if not values:
        return
    connection.execute(_VALUE.delete().where(_VALUE.c.trial_id == trial_id, _VALUE.c.step.in_(list(values))))
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    rows = []
    for step, value in values.items():
        number, kind = to_stored(value)
        row = {"trial_id": trial_id, "step": step}
        rows.append({**row, "intermediate_value": number, "intermediate_value_type": kind})
    connection.execute(_VALUE.insert(), rows)
