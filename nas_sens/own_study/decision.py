"""Whether the network of a trial is worth a training: where it stands among those that were proposed before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..core.candidates import CONTROL, ENQUEUED, PRUNED, STARTUP
from ..core.errors import InvalidInputError
from ..core.identity import derive_seed
from ..selection.candidates import Array
from ..storage.user_attributes import set_user_attributes
from .attributes import GROUP, PREDICTED, PREDICTED_SD
from .experience import as_candidate
from .learnt import Memory

KEPT = "kept"
_ALIKE = 0.01  # standard deviations of what was trained; of networks that are the same, some were trained and some not


@dataclass(frozen=True)
class Decision:
    """What is done with a trial, and what was expected of it.

    Attributes:
        group: ``enqueued``, ``startup``, ``control``, ``kept`` or ``pruned``.
        values: Expected values of the study's objectives; empty if nothing was learnt yet.
        sds: Their standard deviations.
    """

    group: str
    values: tuple[float, ...] = ()
    sds: tuple[float, ...] = ()

    @property
    def attributes(self) -> dict[str, Any]:
        """User attributes of the trial; of several objectives, with their numbers behind the names."""
        found: dict[str, Any] = {}
        for i, (value, sd) in enumerate(zip(self.values, self.sds, strict=True)):
            behind = f"_{i}" if len(self.values) > 1 else ""
            found |= {f"{PREDICTED}{behind}": value, f"{PREDICTED_SD}{behind}": sd}
        return {**found, GROUP: self.group}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How to decide.

    Attributes:
        keep: Share of proposals that are trained, the control group aside.
        control: Share of proposals that are trained at random.
        n_startup: Trained trials before the first is pruned.
        seed: Seed of the control group.

    Raises:
        InvalidInputError: A share is not between 0 and 1, or ``n_startup`` is less than 2.
    """

    keep: float
    control: float
    n_startup: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("keep", "control"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInputError(f"{name} must be a share between 0 and 1; given {getattr(self, name)}")
        if self.n_startup < 2:
            raise InvalidInputError(
                f"n_startup must be at least 2, to have something to compare; given {self.n_startup}"
            )


def is_pruned(rule: Rule, memory: Memory, study: Study, trial: FrozenTrial) -> bool:
    """Return whether a scored trial is not to be trained; the decision is kept in it, and not made a second time."""
    if GROUP in trial.user_attrs:
        return bool(trial.user_attrs[GROUP] == PRUNED)
    decision = decide(rule, memory, study, trial)
    # Where each is written by itself, the group is the last: whoever sees it sees all.
    set_user_attributes(study._storage, trial._trial_id, decision.attributes)
    return decision.group == PRUNED


def decide(rule: Rule, memory: Memory, study: Study, trial: FrozenTrial) -> Decision:
    """Return what is done with a scored trial that is not trained yet."""
    if "fixed_params" in trial.system_attrs:  # somebody wants it
        return Decision(ENQUEUED)
    n_trained, learnt = memory.learnt(study)
    if n_trained < rule.n_startup or learnt is None:
        return Decision(STARTUP)
    z, values, sds = learnt.expected(as_candidate(trial))
    if derive_seed("control group of a pruner", rule.seed, trial.number) < rule.control * 2**63:
        group = CONTROL
    else:
        group = KEPT if is_worth_it(z, learnt.recent, rule.keep) else PRUNED
    return Decision(group, tuple(map(float, values)), tuple(map(float, sds)))


def is_worth_it(expected: Array, recent: Array, keep: float) -> bool:
    """Return whether fewer are expected to be better than is usual in the best share of what was proposed.

    Args:
        expected: Expected outcomes of the candidate, smaller being better, shape (n_objectives,).
        recent: Those of earlier proposals, shape (n_objectives, n).
        keep: The share. Of proposals, those are in it that are dominated by the fewest others: with one objective,
            those of which the best is expected.
    """
    dominators = np.array([_n_dominators(point, recent) for point in recent.T])
    return bool(_n_dominators(expected, recent) <= np.quantile(dominators, keep))


def _n_dominators(point: Array, others: Array) -> int:
    is_no_worse = (others <= point[:, None]).all(axis=0)
    return int((is_no_worse & (others < point[:, None] - _ALIKE).any(axis=0)).sum())
