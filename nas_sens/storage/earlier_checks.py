"""Which studies of an earlier nas_sens may become one (see `migration`): read under a lock, and refused in one line."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Column, Float, MetaData, String, Table

from ..core.errors import InvalidInputError, StorageError
from .earlier_pair import TRAINED, EarlierPair, digests, has_trainings, training_attributes, user_attributes
from .trials import LAYOUT

QUIET_SECONDS = 600.0  # after which the earlier version took over what another process had claimed
CLAIMS = Table(
    "nas_sens_claims",
    MetaData(),
    Column("study", String(255), primary_key=True),
    Column("item", String(64), primary_key=True),
    Column("worker", String(255)),
    Column("heartbeat", Float),  # seconds since 1970
)
_STUDY, _TRIAL = models.StudyModel.__table__, models.TrialModel.__table__
_FREE_DATA, _FREE_TRAIN = ("root", "download"), ("table", "checkpoint_seconds")  # may change when a study is resumed


def checked_pair(connection: sqlalchemy.Connection, name: str, *, without_trainings: bool) -> EarlierPair | None:
    """Return a study of an earlier nas_sens with that of its trainings, both locked; None if it is one study already.

    Args:
        connection: In a transaction.
        name: Name of the study.
        without_trainings: Whether to do without the trainings, which must be missing or somebody else's.

    Raises:
        InvalidInputError: They may not become one; the message says why.
        StorageError: The study was deleted or renamed at this moment.
    """
    names = _STUDY.c.study_name.in_([name, name + TRAINED])
    connection.execute(_STUDY.update().where(names).values(study_name=_STUDY.c.study_name))  # locks (see `bulk_write`)
    query = sqlalchemy.select(_STUDY.c.study_name, _STUDY.c.study_id).where(names)
    ids = {n: int(i) for n, i in connection.execute(query)}
    if name not in ids:
        raise StorageError(f"the study {name!r} was deleted or renamed at this moment")
    there = user_attributes(connection, ids[name])
    if there.get("layout") == LAYOUT:
        return None
    _check_layout(name, there)
    target = str(json.loads(there["study"]).get("select", {}).get("target", "val_error"))
    train_id, trainings = ids.get(name + TRAINED), {}
    if train_id is not None:
        trainings = training_attributes(connection, train_id, ("source_trial", "digest", target))
    pair = EarlierPair(name, ids[name], train_id, target, trainings)
    _check_candidates(connection, pair)
    why = _why_not_of_it(connection, pair, there)
    if without_trainings and not why:
        raise InvalidInputError(f"{name + TRAINED!r} holds the trainings of {name!r}; leave --without-trainings out")
    if without_trainings:
        pair = EarlierPair(name, ids[name], None, target, {})
    elif why:
        raise InvalidInputError(f"{why}, or leave it out by --without-trainings")
    _check_at_rest(connection, pair)
    return pair


def _check_layout(name: str, there: Mapping[str, Any]) -> None:
    """Check that a study was made by an earlier version.

    Raises:
        InvalidInputError: It was not.
    """
    if "space_digest" not in there or "study" not in there:
        raise InvalidInputError(f"the study {name!r} was not made by nas_sens, or not to the end")
    if "layout" in there:
        raise InvalidInputError(f"the study {name!r} is of a later nas_sens: layout {there['layout']}; install that")


def _check_candidates(connection: sqlalchemy.Connection, pair: EarlierPair) -> None:
    """Check that a study is not the one of the trainings.

    Raises:
        InvalidInputError: It is.
    """
    is_of_trainings = pair.name.endswith(TRAINED) and pair.train_id is None
    if is_of_trainings or has_trainings(connection, pair.study_id):
        name = pair.name.removesuffix(TRAINED)
        raise InvalidInputError(
            f"{pair.name!r} holds the trainings of {name!r}; migrate that: nas-sens migrate {name!r}"
        )


def _why_not_of_it(connection: sqlalchemy.Connection, pair: EarlierPair, there: Mapping[str, Any]) -> str:
    """Return why the trainings are not those of a study, and what to do about it; "" if they are."""
    companion = pair.name + TRAINED
    if pair.train_id is None:
        return f"the study of its trainings, {companion!r}, is missing; if it was renamed, give it that name again"
    rename = f"give {pair.name!r} its own again under that name"
    other = user_attributes(connection, pair.train_id)
    one, another = (a.get("space_digest", "none") for a in (there, other))
    if one != another:
        return (
            f"{companion!r} holds no trainings of {pair.name!r}: its search space has the digest {another} "
            f"instead of {one}; {rename}"
        )
    old, new = (_kept(json.loads(a.get("study", "{}")), is_trained=bool(pair.trainings)) for a in (there, other))
    if old != new:
        sections = ", ".join(sorted(k for k in old if old[k] != new[k]))
        return f"{companion!r} holds no trainings of {pair.name!r}: its protocol differs in {sections}; {rename}"
    theirs = digests(connection, pair.study_id, {t["source_trial"] for t in pair.trainings.values()})
    for t in pair.trainings.values():
        if theirs.get(t["source_trial"]) != t["digest"]:
            return (
                f"{companion!r} holds no trainings of {pair.name!r}: it has one of candidate {t['source_trial']} with "
                f"the digest {t['digest']}, which is {theirs.get(t['source_trial'], 'missing')} there; {rename}"
            )
    return ""


def _kept(study: Mapping[str, Any], *, is_trained: bool) -> dict[str, Any]:
    """Return what of a stored study stays when it is resumed: a kill may have kept one of two from what is new."""
    kept: dict[str, Any] = {"score": study.get("score")}
    kept["data"] = {k: v for k, v in study.get("data", {}).items() if k not in _FREE_DATA}
    kept["search"] = {k: v for k, v in study.get("search", {}).items() if k != "n_candidates"}
    train = {k: v for k, v in study.get("train", {}).items() if k not in _FREE_TRAIN}
    return kept | ({"train": train} if is_trained else {})


def _check_at_rest(connection: sqlalchemy.Connection, pair: EarlierPair) -> None:
    """Check that nobody works on two studies.

    Raises:
        InvalidInputError: Somebody does, or may.
    """
    ids = [i for i in (pair.study_id, pair.train_id) if i is not None]
    query = sqlalchemy.select(sqlalchemy.func.count()).select_from(_TRIAL)
    n = connection.execute(query.where(_TRIAL.c.study_id.in_(ids), _TRIAL.c.state == TrialState.RUNNING)).scalar_one()
    if n:
        raise InvalidInputError(
            f"{n} trials of {pair.name!r} are RUNNING, which nas_sens did not start; finish or fail them first"
        )
    if not sqlalchemy.inspect(connection).has_table(CLAIMS.name):
        return
    newest = sqlalchemy.select(CLAIMS.c.worker, CLAIMS.c.heartbeat).where(CLAIMS.c.study == pair.name)
    claim = connection.execute(newest.order_by(CLAIMS.c.heartbeat.desc()).limit(1)).first()
    age = QUIET_SECONDS if claim is None else time.time() - claim.heartbeat
    if claim is not None and age < QUIET_SECONDS:
        raise InvalidInputError(
            f"a process of the earlier version, {claim.worker}, may still work on {pair.name!r}: it gave a sign of "
            f"life {max(age, 0):.0f} s ago; stop it, and migrate once that is {QUIET_SECONDS:.0f} s ago"
        )
