"""Several user attributes of a trial at once: one transaction where Optuna would take one each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models

from .schema import is_known_schema


def set_user_attributes(storage: BaseStorage, trial_id: int, attributes: Mapping[str, Any]) -> None:
    """Write user attributes of a trial that runs; in a database, all of them or none.

    Args:
        storage: Any storage of Optuna's, as a study has it.
        trial_id: The trial's identifier.
        attributes: Names to values that JSON has.

    Raises:
        UpdateFinishedTrialError: The trial has ended.
    """
    database = getattr(storage, "_backend", storage)  # of the cache that Optuna puts before a database
    if not isinstance(database, RDBStorage) or not is_known_schema():
        for name, value in attributes.items():
            storage.set_trial_user_attr(trial_id, name, value)
        return
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    rows = [{"trial_id": trial_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
    with database.engine.begin() as connection:
        state = connection.execute(sqlalchemy.select(trial.c.state).where(trial.c.trial_id == trial_id)).scalar_one()
        if state.is_finished():
            raise UpdateFinishedTrialError(f"trial {trial_id} has ended; its attributes cannot be changed")
        there = (attribute.c.trial_id == trial_id, attribute.c.key.in_(list(attributes)))
        connection.execute(attribute.delete().where(*there))
        if rows:
            connection.execute(attribute.insert(), rows)
