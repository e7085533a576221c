"""Trials of somebody's own Optuna study as the records that tables and reports are made of.

What `nas_sens.optuna.score` wrote into a trial makes it a candidate. A trial that was trained is a training besides;
one that was pruned before its first report was not trained, and is a candidate that nobody chose.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from ..core.candidates import CONTROL, ENQUEUED, STARTUP, STATUS_OK, UNSELECTED, ScoredCandidate, TrainedCandidate
from ..core.errors import InvalidInputError
from ..core.figures import Direction, Objective
from ..core.identity import canonical_json, digest
from ..core.messages import shown
from ..results.search_result import SearchResult, ranking_key
from ..storage.foreign_study import ForeignStudy, read_foreign_study
from . import attributes as names
from .decision import KEPT

CHOSEN_BY = "SensitivityPruner"
_FAMILY = "trial"  # of a network whose layers nobody looked at
_GROUPS = {CONTROL: CONTROL, STARTUP: STARTUP, ENQUEUED: ENQUEUED, KEPT: CHOSEN_BY}
_ADVICE = (
    "add  nas_sens.optuna.score(trial, model, x)  to its objective, after the model is built, and train some trials"
)


def read_optuna_study(
    url: str, name: str, *, by: str | None = None, direction: Direction | None = None
) -> SearchResult:
    """Return what an Optuna study of somebody's own found; nothing is written to it.

    Args:
        url: Its storage.
        name: Its name.
        by: Objective to rank by; the first if None.
        direction: Which way it goes, if not the study's.

    Raises:
        InvalidInputError: There is no such study or objective, or no trial was scored.
        StorageError: The storage cannot be read.
    """
    study = read_foreign_study(url, name)
    scored = check_scored(study)
    objective = objective_by(study, by, direction)
    trained = [to_training(t, study, objective) for t in scored if _is_trained(t)]
    return SearchResult(
        name,
        _protocol(study, scored, objective),
        tuple(to_candidate(t) for t in scored),
        tuple(sorted(trained, key=ranking_key(objective))),
        objective.name,
        objective.direction,
    )


def check_scored(study: ForeignStudy) -> list[FrozenTrial]:
    """Return the trials of a study that were scored.

    Raises:
        InvalidInputError: There are none.
    """
    scored = [t for t in study.trials if names.is_scored(t.user_attrs)]
    if not scored:
        n = len(study.trials)
        raise InvalidInputError(
            f"no trial of the Optuna study {shown(study.name)} has attributes of nas_sens ({n} trials); {_ADVICE}"
        )
    return scored


def objective_by(study: ForeignStudy, by: str | None, direction: Direction | None = None) -> Objective:
    """Return one of a study's objectives, the first if none is named.

    Raises:
        InvalidInputError: It has no such objective.
    """
    name = next(iter(study.objectives)) if by is None else by
    if name not in study.objectives:
        raise InvalidInputError(
            f"the Optuna study {shown(study.name)} has the objectives {', '.join(study.objectives)}; given {shown(by)}"
        )
    return Objective(name, study.objectives[name] if direction is None else direction == "maximize")


def to_candidate(trial: FrozenTrial) -> ScoredCandidate:
    """Return a scored trial as a candidate; its number belongs to its identity, as parameters may be drawn twice."""
    found = trial.user_attrs
    sensitivity, problem = found.get(names.SENSITIVITY), str(found.get(names.PROBLEM, ""))
    measures = {k.removeprefix(names.MEASURE): float(v) for k, v in found.items() if k.startswith(names.MEASURE)}
    return ScoredCandidate(
        digest=_digest(trial),
        architecture=_architecture(trial),
        params=found.get(names.PARAMS),
        flops=found.get(names.FLOPS),
        log10_sensitivity=sensitivity,
        stderr=found.get(names.STDERR),
        estimator="monte_carlo" if sensitivity is not None else None,
        log10_relative_sensitivity=found.get(names.RELATIVE),
        measures={name: value for name, value in measures.items() if math.isfinite(value)},
        status=STATUS_OK if sensitivity is not None else problem or "no sensitivity",
        number=trial.number,
    )


def to_training(trial: FrozenTrial, study: ForeignStudy, objective: Objective) -> TrainedCandidate:
    """Return a scored trial that was trained, or failed.

    Args:
        trial: A finished trial.
        study: Whose it is.
        objective: What is ranked by, of which a pruner expected something.
    """
    found, group = trial.user_attrs, trial.user_attrs.get(names.GROUP)
    behind = f"_{list(study.objectives).index(objective.name)}" if len(study.objectives) > 1 else ""
    reason = found.get(names.REASON)
    return TrainedCandidate(
        digest=_digest(trial),
        architecture=_architecture(trial),
        params=found.get(names.PARAMS),
        flops=found.get(names.FLOPS),
        candidate=trial.number,
        chosen_by=_GROUPS.get(str(group), ENQUEUED if reason else UNSELECTED),
        reason=str(reason or (f"group {group}" if group else "")),
        predicted_mean=found.get(f"{names.PREDICTED}{behind}"),
        predicted_sd=found.get(f"{names.PREDICTED_SD}{behind}"),
        log10_sensitivity_before=found.get(names.SENSITIVITY),
        figures=dict(zip(study.objectives, trial.values or (), strict=False)),
        curve=tuple(trial.intermediate_values[step] for step in sorted(trial.intermediate_values)),
        curve_of=next(iter(study.objectives)),
        seconds=trial.duration.total_seconds() if trial.duration else None,
        status=_status(trial),
        number=trial.number,
    )


def _is_trained(trial: FrozenTrial) -> bool:
    """Return whether a training ended: one that was pruned before its first report was never begun."""
    if trial.state == TrialState.PRUNED:
        return bool(trial.intermediate_values)
    return trial.state in (TrialState.COMPLETE, TrialState.FAIL)


def _status(trial: FrozenTrial) -> str:
    if trial.state == TrialState.PRUNED:
        return f"pruned: by the study's pruner after step {trial.last_step}"
    return STATUS_OK if trial.state == TrialState.COMPLETE else "failed: the objective raised an error (state FAIL)"


def _architecture(trial: FrozenTrial) -> str:
    params = {("family (parameter)" if k == "family" else k): _plain(v) for k, v in trial.params.items()}
    return canonical_json({**params, "family": str(trial.user_attrs.get(names.FAMILY) or _FAMILY)})


def _plain(value: Any) -> Any:
    """Return a value as JSON can say it; choices of a user's own may be anything."""
    try:
        canonical_json(value)
    except (TypeError, ValueError):
        return str(value)
    return value


def _digest(trial: FrozenTrial) -> str:
    return digest([trial.number, _architecture(trial)])


def _protocol(study: ForeignStudy, scored: Sequence[FrozenTrial], objective: Objective) -> dict[str, Any]:
    """Return what is known of how the study went, in the form in which studies of nas_sens are declared."""
    states = Counter(t.state.name for t in study.trials)
    not_begun = sum(t.state == TrialState.PRUNED and not t.intermediate_values for t in scored)
    space: dict[str, Any] = {}
    for trial in scored:
        space |= {k: json.dumps(_domain(d), default=str) for k, d in trial.distributions.items()}
    directions = {n: "maximize" if is_maximized else "minimize" for n, is_maximized in study.objectives.items()}
    return {
        "optuna": {
            "study": study.name,
            "trials": len(study.trials),
            "trials_by_state": {state: states[state] for state in sorted(states)},
            "trials_without_score": len(study.trials) - len(scored),
            "pruned_before_the_first_report": not_begun,
        },
        "select": {"target": objective.name, "direction": objective.direction, "directions": directions},
        "search_space": dict(sorted(space.items())),
        "train": {"trainer": "the objective of the Optuna study", "step": "report"},
    }


def _domain(distribution: Any) -> Mapping[str, Any]:
    return dict(distribution._asdict())
