"""Records as Optuna trials, and back.

A study's trials are of two kinds. A scored candidate is a finished trial without a value: PRUNED, or FAIL if it may not
be trained. A training is a trial with the number of its candidate's trial as attribute ``candidate``: WAITING, RUNNING,
and COMPLETE with the study's objective as value, PRUNED or FAIL. Trials that are neither are somebody else's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..core.candidates import NOTHING, PRUNED, STATUS_OK, USUAL_CURVE, ScoredCandidate, TrainedCandidate
from ..core.figures import KNOWN
from .array_attributes import from_attributes, to_attributes
from .attribute_types import check_attributes

LAYOUT = 2  # of what is stored: 1 had two studies a search
_SCORED = tuple(f.name for f in fields(ScoredCandidate) if f.name not in ("number", "params_sampled"))
# A field, what sets it though the class is frozen, its default, and whether that is a mapping.
_SETTERS = tuple(
    (f.name, getattr(ScoredCandidate, f.name).__set__, f.default, f.default_factory is dict)
    for f in fields(ScoredCandidate)
    if f.name != "number"
)
_SET_NUMBER = vars(ScoredCandidate)["number"].__set__
_FEW_VALUES = ("estimator", "status")  # texts that candidates share
_TRAINED = tuple(f.name for f in fields(TrainedCandidate) if f.name not in ("number", "curve", "records"))


def is_scored(user_attrs: Mapping[str, Any]) -> bool:
    """Return whether a trial with these attributes is a scored candidate."""
    return "digest" in user_attrs and "feasible" in user_attrs


def is_training(user_attrs: Mapping[str, Any]) -> bool:
    """Return whether a trial with these attributes is a training."""
    return "digest" in user_attrs and "candidate" in user_attrs


def scored_trial(candidate: ScoredCandidate, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a candidate as a finished trial, with the distributions of its parameters."""
    attributes = {k: v for k in _SCORED if (v := getattr(candidate, k)) is not None and v != {}}
    if candidate.is_ok:
        attributes["stderr"] = candidate.stderr  # null where no networks were drawn, but always there
    return create_trial(
        state=TrialState.PRUNED if candidate.is_ok else TrialState.FAIL,
        params=dict(candidate.params_sampled),
        distributions=dict(distributions),
        user_attrs=attributes,
    )


def to_scored(number: int, user_attrs: Mapping[str, Any]) -> ScoredCandidate:
    """Return the candidate of a trial; attributes that somebody added are left out.

    Raises:
        StorageError: An attribute is missing, or is not of its type: somebody altered it.
    """
    check_attributes(ScoredCandidate, number, user_attrs)
    # As ScoredCandidate(**user_attrs, number=number) would do, in a third of the time: studies have up to a million.
    candidate = object.__new__(ScoredCandidate)
    _SET_NUMBER(candidate, number)
    for name, set_value, default, is_mapping in _SETTERS:
        if name in user_attrs:
            value = user_attrs[name]
            set_value(candidate, sys.intern(value) if name in _FEW_VALUES and value else value)
        else:
            set_value(candidate, NOTHING if is_mapping else default)
    return candidate


def waiting_trial(
    training: TrainedCandidate,
    params: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    *,
    earlier: list[int] | None = None,
) -> FrozenTrial:
    """Return a training that waits for a worker.

    Args:
        training: What is known of it beforehand.
        params: What the sampler suggested for its candidate.
        distributions: Of these parameters.
        earlier: Numbers of the trials in which its workers were lost; kept as Optuna keeps them.
    """
    retry = {"failed_trial": earlier[0], "retry_history": list(earlier)} if earlier else {}
    attributes = _attributes(training)
    del attributes["status"]  # which it does not have yet
    return create_trial(
        state=TrialState.WAITING,
        params=dict(params),
        distributions=dict(distributions),
        user_attrs=attributes,
        # By these Optuna's own ``ask`` suggests to a user's objective what waits here.
        system_attrs={"fixed_params": dict(params), **retry},
    )


def finished_trial(
    training: TrainedCandidate,
    objective: str,
    system_attrs: Mapping[str, Any],
    params: Mapping[str, Any] | None = None,
    distributions: Mapping[str, BaseDistribution] | None = None,
) -> FrozenTrial:
    """Return a training as a finished trial.

    Args:
        training: Its figures.
        objective: The figure that is the study's objective.
        system_attrs: Optuna's own attributes, such as those by which it finds artifacts.
        params: What the sampler suggested for its candidate.
        distributions: Of these parameters.
    """
    return create_trial(
        state=_state(training),
        value=objective_of(training, objective) if training.is_ok else None,
        params=dict(params or {}),
        distributions=dict(distributions or {}),
        user_attrs=_attributes(training) | to_attributes(training.records),
        system_attrs=dict(system_attrs),
        intermediate_values=dict(enumerate(training.curve, 1)),
    )


def objective_of(training: TrainedCandidate, objective: str) -> float | None:
    """Return the value of a training: the objective, or where a table of outcomes lacks it, another figure."""
    figures = (training.figure(name) for name in (objective, "val_loss", "val_error"))
    return next((v for v in figures if v is not None), None)


def to_trained(
    number: int, user_attrs: Mapping[str, Any], intermediate_values: Mapping[int, float]
) -> TrainedCandidate:
    """Return the training of a trial.

    Raises:
        StorageError: An attribute is missing, or is not of its type: somebody altered it.
    """
    check_attributes(TrainedCandidate, number, user_attrs)
    attributes = {k: user_attrs[k] for k in _TRAINED if k in user_attrs}
    curve = tuple(v for _, v in sorted(intermediate_values.items()))
    for key in ("curve_epochs", "measured_epochs"):  # JSON has no tuples
        attributes[key] = tuple(attributes.get(key, ()))
    for key in ("curves", "measure_curves"):
        attributes[key] = {name: tuple(values) for name, values in attributes.get(key, {}).items()}
    return TrainedCandidate(**attributes, number=number, curve=curve, records=from_attributes(user_attrs))


def told_outside(
    training: TrainedCandidate, state: TrialState, value: float | None, objective: str
) -> TrainedCandidate:
    """Return a training that somebody's own objective did: all that is known of it is its value."""
    if state == TrialState.COMPLETE and value is not None:
        known: dict[str, Any] = {objective: value} if objective in KNOWN else {"figures": {objective: value}}
        return replace(training, **known)
    return replace(training, status=f"{PRUNED} by an objective of the user's own")


def _attributes(training: TrainedCandidate) -> dict[str, Any]:
    attributes = {k: v for k in _TRAINED if (v := getattr(training, k)) is not None and v not in ((), {})}
    if training.curve_of == USUAL_CURVE:
        del attributes["curve_of"]
    return attributes | training.own_figures()  # as columns of the dashboard, too


def _state(training: TrainedCandidate) -> TrialState:
    if training.status == STATUS_OK:
        return TrialState.COMPLETE
    return TrialState.PRUNED if training.is_pruned else TrialState.FAIL
