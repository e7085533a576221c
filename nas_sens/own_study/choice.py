"""Which of some proposals a study should train next, by the rule ``calibrated``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ..selection import Candidate, Pick, select
from .attributes import candidate_of, is_scored
from .experience import FINISHED, as_key, outcomes, signs
from .proposals import Proposal, Screen, key_of

_BEGUN = (*FINISHED, TrialState.RUNNING, TrialState.WAITING)


def begun(study: Study, without: int | None = None) -> list[FrozenTrial]:
    """Return the trials of a study that have parameters: finished, running, or waiting to run.

    Args:
        study: The study.
        without: Number of a trial that is left out.
    """
    trials = [t for t in study.get_trials(deepcopy=False, states=_BEGUN) if t.number != without]
    return [t for t in trials if params_of(t)]


def params_of(trial: FrozenTrial) -> Mapping[str, object]:
    """Return a trial's parameters, or those that it is to have where it waits to run."""
    fixed: Mapping[str, object] = trial.system_attrs.get("fixed_params", {})
    return trial.params or fixed


def without_repeats(proposals: Sequence[Proposal], earlier: Sequence[FrozenTrial]) -> list[Proposal]:
    """Return the proposals that differ from each other and from what a study has begun."""
    known = {key_of(params_of(t)) for t in earlier}
    return list({p.key: p for p in proposals if p.key not in known}.values())


def best(
    study: Study,
    earlier: Sequence[FrozenTrial],
    proposals: Sequence[Proposal],
    screen: Screen,
    *,
    n: int = 1,
) -> list[tuple[Proposal, Pick]]:
    """Return the ``n`` proposals to train next, with reasons.

    They are those of the rule ``calibrated``; in a study of several objectives, as if nothing had been trained.

    Args:
        study: The study.
        earlier: Its trials (see :func:`begun`).
        proposals: What to choose from, without repeats.
        screen: Measures trials that were not scored.
        n: How many.
    """
    which = signs(study.directions)
    finished = [t for t in earlier if t.state in FINISHED]
    outcome = outcomes(finished, which[0]) if len(which) == 1 else {}
    pending = {as_key(t) for t in earlier if t.state not in FINISHED or len(which) > 1}
    known = [_candidate(t, screen) for t in earlier if as_key(t) in outcome or as_key(t) in pending]
    names = {f"proposal {i:06d}": proposal for i, proposal in enumerate(proposals)}
    pool = [*known, *(proposal.candidate(name) for name, proposal in names.items())]
    picks = select(pool, outcome, rule="calibrated", n=n, target="value", pending=pending)
    return [(names[pick.digest], pick) for pick in picks]


def _candidate(trial: FrozenTrial, screen: Screen) -> Candidate:
    """Return an earlier trial; what was not scored then is now."""
    attributes, params = trial.user_attrs, trial.params
    if not is_scored(attributes) or not params:
        proposal = screen.known(params_of(trial))
        if proposal is not None:
            known = {*proposal.distributions, *trial.distributions}
            attributes = proposal.score.attributes
            params = {name: value for name, value in params_of(trial).items() if name in known}
    return candidate_of(as_key(trial), attributes, params)
