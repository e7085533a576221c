"""Two studies of an earlier nas_sens become one, in one transaction: killed at any moment, it leaves both as they were.

A scored candidate was COMPLETE with log10 S as value, and is PRUNED without one; a training was a trial of another
study, ``NAME/train``, and is one behind the candidates (see `trials`). Trials keep their identifiers, and with them all
that hangs on these: parameters, attributes, artifacts, curves. They are moved by a few statements on Optuna's tables of
the known schema (see `bulk_write`), as a study has up to 100,000 of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import func

from ..core.errors import InvalidInputError
from .bulk_read import portions
from .earlier_checks import CLAIMS, checked_pair
from .earlier_pair import EarlierPair, system_attributes, user_attributes
from .schema import is_known_schema
from .study_database import METRIC_NAMES, OBJECTIVE
from .study_storage import StudyStorage
from .trials import LAYOUT

Attributes = dict[str, Any]
_STUDY, _TRIAL = models.StudyModel.__table__, models.TrialModel.__table__
_ATTRIBUTE, _VALUE = models.TrialUserAttributeModel.__table__, models.TrialValueModel.__table__
_OF_USER, _OF_SYSTEM = models.StudyUserAttributeModel.__table__, models.StudySystemAttributeModel.__table__


class Migrated(NamedTuple):
    """What one study holds now that was two.

    Attributes:
        candidates: Number of scored candidates.
        trainings: Number of trainings.
        others: Number of trials that nas_sens did not write, and which are as they were.
    """

    candidates: int
    trainings: int
    others: int


def migrate(
    storage: StudyStorage,
    name: str,
    *,
    merged: Callable[[Attributes, Attributes], Attributes],
    without_trainings: bool = False,
) -> Migrated | None:
    """Return what a study holds that is one now; None if it was already.

    Args:
        storage: The database.
        name: Name of the study.
        merged: Makes one study's system attributes of those of two: its own, and those of its trainings.
        without_trainings: Whether to do without the trainings, which must be missing or somebody else's.

    Raises:
        InvalidInputError: It may not be migrated; nothing is changed then, and the message says why.
    """
    if not is_known_schema():
        raise InvalidInputError(
            f"the study {name!r} can only be migrated with an Optuna whose tables are known, which are those of 4.1 to "
            "5.0; install one of these, migrate, and go back"
        )
    storage.attributes(name, of_any_layout=True)
    with storage.guard(), storage.rdb.engine.begin() as connection:
        pair = checked_pair(connection, name, without_trainings=without_trainings)
        if pair is None:
            return None
        _prune_candidates(connection, pair.study_id)
        _merge_attributes(connection, pair, merged)
        n = _count(connection, pair.study_id, _is_scored())
        if pair.train_id is not None:
            _set_values(connection, pair)
            _move_trainings(connection, pair.study_id, pair.train_id)
        if sqlalchemy.inspect(connection).has_table(CLAIMS.name):
            connection.execute(CLAIMS.delete().where(CLAIMS.c.study == name))  # of processes that are gone
        n_all = _count(connection, pair.study_id)
        return Migrated(n, len(pair.trainings), n_all - n - len(pair.trainings))


def _is_scored() -> sqlalchemy.ColumnElement[bool]:
    """Return the condition that a trial is a scored candidate."""
    is_own = _ATTRIBUTE.c.trial_id == _TRIAL.c.trial_id
    return sqlalchemy.and_(
        *(sqlalchemy.exists().where(is_own, _ATTRIBUTE.c.key == key) for key in ("digest", "feasible"))
    )


def _count(connection: sqlalchemy.Connection, study_id: int, *conditions: sqlalchemy.ColumnElement[bool]) -> int:
    query = sqlalchemy.select(func.count()).select_from(_TRIAL).where(_TRIAL.c.study_id == study_id, *conditions)
    return int(connection.execute(query).scalar_one())


def _prune_candidates(connection: sqlalchemy.Connection, study_id: int) -> None:
    """Make scored candidates PRUNED trials without a value."""
    complete = (_TRIAL.c.study_id == study_id, _TRIAL.c.state == TrialState.COMPLETE, _is_scored())
    ids = sqlalchemy.select(_TRIAL.c.trial_id).where(*complete)
    connection.execute(_VALUE.delete().where(_VALUE.c.trial_id.in_(ids)))
    connection.execute(_TRIAL.update().where(*complete).values(state=TrialState.PRUNED))


def _set_values(connection: sqlalchemy.Connection, pair: EarlierPair) -> None:
    """Give trainings the study's objective as value, where they have one and it is known."""
    values = {i: a[pair.target] for i, a in pair.trainings.items() if _is_number(a.get(pair.target))}
    query = sqlalchemy.select(_TRIAL.c.trial_id)
    query = query.where(_TRIAL.c.study_id == pair.train_id, _TRIAL.c.state == TrialState.COMPLETE)
    ids = [i for i in connection.execute(query).scalars() if i in values]
    rows = []
    for i in ids:
        stored, kind = models.TrialValueModel.value_to_stored_repr(values[i])
        rows.append({"trial_id": i, "objective": 0, "value": stored, "value_type": kind})
    for portion in portions(ids):
        connection.execute(_VALUE.delete().where(_VALUE.c.trial_id.in_(portion)))
    if rows:
        connection.execute(_VALUE.insert(), rows)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)


def _move_trainings(connection: sqlalchemy.Connection, study_id: int, train_id: int) -> None:
    """Put trainings behind the candidates, and delete the study in which they were."""
    newest = sqlalchemy.select(func.max(_TRIAL.c.number)).where(_TRIAL.c.study_id == study_id)
    first = 1 + (-1 if (number := connection.execute(newest).scalar()) is None else number)
    ids = sqlalchemy.select(_TRIAL.c.trial_id).where(_TRIAL.c.study_id == train_id)
    source = _ATTRIBUTE.update().where(_ATTRIBUTE.c.key == "source_trial", _ATTRIBUTE.c.trial_id.in_(ids))
    connection.execute(source.values(key="candidate"))
    moved = _TRIAL.update().where(_TRIAL.c.study_id == train_id)
    connection.execute(moved.values(study_id=study_id, number=_TRIAL.c.number + first))
    for table in (models.StudyDirectionModel.__table__, _OF_USER, _OF_SYSTEM, _STUDY):
        connection.execute(table.delete().where(table.c.study_id == train_id))


def _merge_attributes(
    connection: sqlalchemy.Connection, pair: EarlierPair, merged: Callable[[Attributes, Attributes], Attributes]
) -> None:
    """Give one study the attributes of two, and those that say what it is."""
    ids = [i for i in (pair.study_id, pair.train_id) if i is not None]
    theirs = [[read(connection, i) for i in ids] for read in (user_attributes, system_attributes)]
    (there, *others), (own, *companions) = theirs
    new = {k: v for other in others for k, v in other.items() if k not in there}
    new |= {"layout": LAYOUT, OBJECTIVE: pair.target}
    _insert(connection, _OF_USER, pair.study_id, new)
    system = merged(own, companions[0] if companions else {}) | {METRIC_NAMES: [pair.target]}
    connection.execute(_OF_SYSTEM.delete().where(_OF_SYSTEM.c.study_id == pair.study_id))
    _insert(connection, _OF_SYSTEM, pair.study_id, system)


def _insert(connection: sqlalchemy.Connection, table: Any, study_id: int, attributes: Mapping[str, Any]) -> None:
    rows = [{"study_id": study_id, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
    connection.execute(table.insert(), rows)
