"""Many trials at once: one transaction writes them (`bulk_read` reads them back).

Optuna's own ``create_new_trial`` takes 8–30 ms a trial on SQLite, as it writes every parameter and attribute with a
query of its own and asks the study for earlier values of each. Here the rows of Optuna's tables are written directly,
through Optuna's own table definitions, so that its public interface and the dashboard read them as any other trial.
That depends on Optuna's schema: `schema` tells whether it is the one that this file was written for.

Ownership: whoever writes holds a lock on the study's row meanwhile, as Optuna does; identifiers of a study's trials are
therefore committed in ascending order, and reading those behind the last one read misses none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial


def insert_trials(
    storage: RDBStorage,
    study_id: int,
    trials: Sequence[FrozenTrial],
    *,
    unless_after: int | None = None,
    only_if_newest: int | None = None,
) -> list[int]:
    """Return the numbers of trials, stored in one transaction, all of them or none.

    Args:
        storage: Optuna's storage, of a known schema.
        study_id: The study's identifier.
        trials: Trials with at most one objective value.
        unless_after: Those are left out whose attribute ``digest`` a trial behind this one has: somebody stored them
            since. None for storing all.
        only_if_newest: Nothing is stored if another trial than this one is the study's newest: somebody was faster.
            None for storing in any case.
    """
    if not trials:
        return []
    study, trial = models.StudyModel.__table__, models.TrialModel.__table__
    with storage.engine.begin() as connection:
        # A write that changes nothing locks the study's row on every database, and the file on SQLite.
        where = study.c.study_id == study_id
        connection.execute(study.update().where(where).values(study_name=study.c.study_name))
        newest, first = _newest(connection, study_id)
        if only_if_newest is not None and only_if_newest != newest:
            return []
        if unless_after is not None:
            there = _digests_behind(connection, study_id, unless_after)
            trials = [t for t in trials if t.user_attrs["digest"] not in there]
            if not trials:
                return []
        rows = [_trial_row(study_id, n, t) for n, t in enumerate(trials, first)]
        ids = list(_insert_returning_ids(connection, trial, rows))
        insert_children(connection, trials, ids)
    return [row["number"] for row in rows]


def _newest(connection: sqlalchemy.Connection, study_id: int) -> tuple[int, int]:
    """Return the identifier of a study's newest trial, -1 if there is none, and the number of the next one."""
    trial = models.TrialModel.__table__
    last = sqlalchemy.select(trial.c.trial_id, trial.c.number).where(trial.c.study_id == study_id)
    newest = connection.execute(last.order_by(trial.c.trial_id.desc()).limit(1)).first()
    if newest is None:
        return -1, 0
    # The newest trial has not the highest number where `migration` has put earlier trainings behind newer candidates.
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(trial).where(trial.c.study_id == study_id)
    return int(newest.trial_id), max(int(newest.number) + 1, int(connection.execute(query).scalar_one()))


def _digests_behind(connection: sqlalchemy.Connection, study_id: int, trial_id: int) -> set[str]:
    trial, attribute = models.TrialModel.__table__, models.TrialUserAttributeModel.__table__
    query = sqlalchemy.select(attribute.c.value_json).join(trial, trial.c.trial_id == attribute.c.trial_id)
    where = (trial.c.study_id == study_id, trial.c.trial_id > trial_id, attribute.c.key == "digest")
    return {json.loads(text) for text in connection.execute(query.where(*where)).scalars()}


def insert_children(connection: sqlalchemy.Connection, trials: Sequence[FrozenTrial], ids: Sequence[int]) -> None:
    """Store what belongs to trials, whose own rows are there."""
    for table, children in _child_rows(trials, ids):
        if children:
            connection.execute(table.insert(), children)


def _trial_row(study_id: int, number: int, trial: FrozenTrial) -> dict[str, Any]:
    start, complete = stored_times(trial.datetime_start, trial.datetime_complete)
    return {
        "study_id": study_id,
        "number": number,
        "state": trial.state,
        "datetime_start": start,
        "datetime_complete": complete,
    }


def stored_times(start: datetime | None, complete: datetime | None) -> tuple[Any, Any]:
    """Return the times as the columns hold them: Optuna's model knows in which time zone that is."""
    model = models.TrialModel(datetime_start=start, datetime_complete=complete)
    by_column = {p.columns[0].name: getattr(model, p.key) for p in sqlalchemy.inspect(models.TrialModel).column_attrs}
    return by_column["datetime_start"], by_column["datetime_complete"]


def _insert_returning_ids(
    connection: sqlalchemy.Connection, trial: sqlalchemy.Table, rows: list[dict[str, Any]]
) -> Iterator[int]:
    if connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        returning = trial.insert().returning(trial.c.trial_id, sort_by_parameter_order=True)
        yield from connection.execute(returning, rows).scalars()
        return
    for row in rows:  # MySQL returns the key of one row at a time
        key = connection.execute(trial.insert(), row).inserted_primary_key
        assert key is not None
        yield key[0]


def _child_rows(trials: Sequence[FrozenTrial], ids: Sequence[int]) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Return the rows of the tables that hold what belongs to trials."""
    values: list[dict[str, Any]] = []
    params: list[dict[str, Any]] = []
    user_attributes: list[dict[str, Any]] = []
    system_attributes: list[dict[str, Any]] = []
    intermediate_values: list[dict[str, Any]] = []
    to_stored = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
    texts: dict[int, str] = {}  # a study's trials share a few distribution objects
    for i, trial in zip(ids, trials, strict=True):
        if trial.values is not None:
            stored, kind = models.TrialValueModel.value_to_stored_repr(trial.values[0])
            values.append({"trial_id": i, "objective": 0, "value": stored, "value_type": kind})
        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            if id(distribution) not in texts:
                texts[id(distribution)] = distribution_to_json(distribution)
            internal, text = distribution.to_internal_repr(value), texts[id(distribution)]
            params.append({"trial_id": i, "param_name": name, "param_value": internal, "distribution_json": text})
        for step, value in trial.intermediate_values.items():
            number, what = to_stored(value)
            row = {"trial_id": i, "step": step, "intermediate_value": number, "intermediate_value_type": what}
            intermediate_values.append(row)
        for rows, attributes in ((user_attributes, trial.user_attrs), (system_attributes, trial.system_attrs)):
            rows += [{"trial_id": i, "key": k, "value_json": json.dumps(v)} for k, v in attributes.items()]
    return [
        (models.TrialValueModel.__table__, values),
        (models.TrialParamModel.__table__, params),
        (models.TrialUserAttributeModel.__table__, user_attributes),
        (models.TrialSystemAttributeModel.__table__, system_attributes),
        (models.TrialIntermediateValueModel.__table__, intermediate_values),
    ]
