"""Records as Optuna trials, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..core.candidates import ScoredCandidate, TrainedCandidate
from .array_attributes import from_attributes, to_attributes

_SCORED = tuple(f.name for f in fields(ScoredCandidate) if f.name not in ("number", "params_sampled"))
_ALL_SCORED = frozenset(_SCORED)
_DEFAULTS = {k: v for k, v in vars(ScoredCandidate(digest="", architecture="")).items() if v != {}}
_MAPPINGS = tuple(f.name for f in fields(ScoredCandidate) if f.default_factory is dict)
_TRAINED = tuple(f.name for f in fields(TrainedCandidate) if f.name not in ("number", "curve", "records"))


def scored_trial(candidate: ScoredCandidate, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    """Return a candidate as a finished trial, with the distributions of its parameters."""
    attributes = {k: v for k in _SCORED if (v := getattr(candidate, k)) is not None and v != {}}
    if candidate.is_ok:
        attributes["stderr"] = candidate.stderr  # null where no networks were drawn, but always there
    return create_trial(
        state=TrialState.COMPLETE if candidate.is_ok else TrialState.FAIL,
        value=candidate.log10_sensitivity if candidate.is_ok else None,
        params=dict(candidate.params_sampled),
        distributions=dict(distributions),
        user_attrs=attributes,
    )


def to_scored(number: int, user_attrs: Mapping[str, Any]) -> ScoredCandidate:
    """Return the candidate of a trial; attributes that somebody added are left out."""
    if not _ALL_SCORED.issuperset(user_attrs):
        user_attrs = {k: v for k, v in user_attrs.items() if k in _ALL_SCORED}
    # As ScoredCandidate(**user_attrs, number=number) would do, in a fifth of the time: studies have up to 100,000.
    candidate = object.__new__(ScoredCandidate)
    vars(candidate).update(_DEFAULTS, number=number)
    vars(candidate).update({name: {} for name in _MAPPINGS}, **user_attrs)  # no mapping is another candidate's, too
    return candidate


def trained_trial(record: TrainedCandidate, scored: FrozenTrial, system_attrs: Mapping[str, Any]) -> FrozenTrial:
    """Return a training as a finished trial.

    Args:
        record: The training's figures.
        scored: The trial of the scored candidate that it is a training of.
        system_attrs: Optuna's own attributes, such as those by which it finds artifacts.
    """
    attributes = {k: v for k in _TRAINED if (v := getattr(record, k)) is not None and v not in ((), {})}
    losses = (v for v in (record.val_loss, record.val_error) if v is not None)
    return create_trial(
        state=_state(record),
        value=next(losses, None) if record.is_ok else None,
        params=scored.params,
        distributions=scored.distributions,
        user_attrs=attributes | to_attributes(record.records),
        system_attrs=dict(system_attrs),
        intermediate_values=dict(enumerate(record.curve, 1)),
    )


def to_trained(
    number: int, user_attrs: Mapping[str, Any], intermediate_values: Mapping[int, float]
) -> TrainedCandidate:
    """Return the training of a trial."""
    attributes = {k: user_attrs[k] for k in _TRAINED if k in user_attrs}
    curve = tuple(v for _, v in sorted(intermediate_values.items()))
    for key in ("curve_epochs", "measured_epochs"):  # JSON has no tuples
        attributes[key] = tuple(attributes.get(key, ()))
    for key in ("curves", "measure_curves"):
        attributes[key] = {name: tuple(values) for name, values in attributes.get(key, {}).items()}
    return TrainedCandidate(**attributes, number=number, curve=curve, records=from_attributes(user_attrs))


def _state(record: TrainedCandidate) -> TrialState:
    if record.is_ok:
        return TrialState.COMPLETE
    return TrialState.PRUNED if record.is_pruned else TrialState.FAIL
