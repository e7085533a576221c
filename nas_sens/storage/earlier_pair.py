"""Two studies in which an earlier nas_sens kept a search: ``NAME``, and ``NAME/train`` of its trainings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models

from .bulk_read import portions

TRAINED = "/train"  # behind a study's name, which has no slash: the study of its trainings

_TRIAL, _ATTRIBUTE = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__


@dataclass(frozen=True)
class EarlierPair:
    """Two studies of one search.

    Attributes:
        name: Name of the study of the candidates.
        study_id: Its identifier.
        train_id: Identifier of the study of the trainings; None to leave that out.
        target: The figure of a training that the rule makes small.
        trainings: Identifier of a training's trial to attributes: ``source_trial``, ``digest``, and the target if it is
            known.
    """

    name: str
    study_id: int
    train_id: int | None
    target: str
    trainings: Mapping[int, Mapping[str, Any]] = field(repr=False)


def user_attributes(connection: sqlalchemy.Connection, study_id: int) -> dict[str, Any]:
    """Return the user attributes of a study."""
    return _attributes(connection, models.StudyUserAttributeModel.__table__, study_id)


def system_attributes(connection: sqlalchemy.Connection, study_id: int) -> dict[str, Any]:
    """Return Optuna's own attributes of a study, and those of its dashboard."""
    return _attributes(connection, models.StudySystemAttributeModel.__table__, study_id)


def _attributes(connection: sqlalchemy.Connection, table: Any, study_id: int) -> dict[str, Any]:
    query = sqlalchemy.select(table.c.key, table.c.value_json).where(table.c.study_id == study_id)
    return {key: json.loads(text) for key, text in connection.execute(query)}


def training_attributes(
    connection: sqlalchemy.Connection, study_id: int, keys: tuple[str, ...]
) -> dict[int, dict[str, Any]]:
    """Return identifier to attributes of the trials of a study that are trainings; others are somebody else's."""
    query = sqlalchemy.select(_TRIAL.c.trial_id, _ATTRIBUTE.c.key, _ATTRIBUTE.c.value_json)
    query = query.join(_ATTRIBUTE, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id)
    found: dict[int, dict[str, Any]] = {}
    for i, key, text in connection.execute(query.where(_TRIAL.c.study_id == study_id, _ATTRIBUTE.c.key.in_(keys))):
        found.setdefault(i, {})[key] = json.loads(text)
    return {i: attributes for i, attributes in found.items() if {"source_trial", "digest"} <= attributes.keys()}


def has_trainings(connection: sqlalchemy.Connection, study_id: int) -> bool:
    """Return whether any trial of a study is a training."""
    query = sqlalchemy.select(_TRIAL.c.trial_id).join(_ATTRIBUTE, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id)
    found = query.where(_TRIAL.c.study_id == study_id, _ATTRIBUTE.c.key == "source_trial").limit(1)
    return connection.execute(found).first() is not None


def digests(connection: sqlalchemy.Connection, study_id: int, numbers: set[int]) -> dict[int, str]:
    """Return number to digest of the trials of a study with these numbers."""
    query = sqlalchemy.select(_TRIAL.c.number, _ATTRIBUTE.c.value_json)
    query = query.join(_ATTRIBUTE, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id)
    query = query.where(_TRIAL.c.study_id == study_id, _ATTRIBUTE.c.key == "digest")
    found: dict[int, str] = {}
    for portion in portions(numbers):
        rows = connection.execute(query.where(_TRIAL.c.number.in_(portion)))
        found |= {number: json.loads(text) for number, text in rows}
    return found
