"""Artifacts whose worker was killed before its trial referred to them, and trials whose artifacts are gone.

A worker notes at its running trial what it is about to write. What is noted at a finished trial and referred to by none
is left over: nothing else in an artifact store is ever removed, as it may be anybody's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState

from ..core.errors import StorageError
from ..core.messages import shown
from .attribute_types import ADVICE

ATTRIBUTE = "nas_sens:uploads"  # system attribute of a trial: identifiers of artifacts
_REFERENCE = "artifacts:"  # Optuna's, with an identifier behind it
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_AT_ONCE = 500  # values in one query

_TRIAL = models.TrialModel.__table__
_ATTRIBUTE = models.TrialSystemAttributeModel.__table__
_OF_STUDY = models.StudySystemAttributeModel.__table__


def note(storage: BaseStorage, trial_id: int, artifact_ids: Sequence[str]) -> None:
    """Note at a running trial what is about to be written for it, beside what was noted earlier.

    Raises:
        UpdateFinishedTrialError: It was given up meanwhile (Optuna's error).
    """
    earlier = storage.get_trial_system_attrs(trial_id).get(ATTRIBUTE, [])
    storage.set_trial_system_attr(trial_id, ATTRIBUTE, [*earlier, *artifact_ids])


def left_over(storage: RDBStorage, study_id: int) -> list[str]:
    """Return the identifiers of artifacts that were written for finished trials of a study, and that nothing names."""
    where = (_TRIAL.c.study_id == study_id, _TRIAL.c.state.in_(_FINISHED), _ATTRIBUTE.c.key == ATTRIBUTE)
    query = sqlalchemy.select(_ATTRIBUTE.c.value_json).join(_TRIAL, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id)
    with storage.engine.connect() as connection:
        noted = sorted({i for (text,) in connection.execute(query.where(*where)) for i in _ids(text)})
        named: set[str] = set()
        for keys in _parts([f"{_REFERENCE}{i}" for i in noted]):
            for table in (_ATTRIBUTE, _OF_STUDY):  # of any study: one that was renamed is another one
                named |= {k for (k,) in connection.execute(sqlalchemy.select(table.c.key).where(table.c.key.in_(keys)))}
    return [i for i in noted if f"{_REFERENCE}{i}" not in named]


def referred_to(storage: RDBStorage, study_id: int) -> dict[int, list[str]]:
    """Return the identifiers of the artifacts of a study's complete trials, by number of the trial."""
    where = (_TRIAL.c.study_id == study_id, _TRIAL.c.state == TrialState.COMPLETE)
    query = sqlalchemy.select(_TRIAL.c.number, _ATTRIBUTE.c.key).join(
        _TRIAL, _TRIAL.c.trial_id == _ATTRIBUTE.c.trial_id
    )
    found: dict[int, list[str]] = {}
    with storage.engine.connect() as connection:
        for number, key in connection.execute(query.where(*where, _ATTRIBUTE.c.key.startswith(_REFERENCE))):
            found.setdefault(number, []).append(key.removeprefix(_REFERENCE))
    return found


def _ids(text: str) -> list[str]:
    ids = json.loads(text)
    if not isinstance(ids, list) or not all(isinstance(i, str) for i in ids):
        raise StorageError(f"the attribute {ATTRIBUTE} must be a list of identifiers; found {shown(ids)}; {ADVICE}")
    return ids


def _parts(values: Sequence[str]) -> Iterator[Iterable[str]]:
    return (values[i : i + _AT_ONCE] for i in range(0, len(values), _AT_ONCE))
