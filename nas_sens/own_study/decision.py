"""Whether the network of a trial is worth a training: where it stands among those that were proposed before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..core.identity import derive_seed
from ..selection.candidates import Array
from .attributes import GROUP, PREDICTED, PREDICTED_SD
from .experience import as_candidate
from .learnt import Memory

STARTUP, CONTROL, KEPT, PRUNED = "startup", "control", "kept", "pruned"


@dataclass(frozen=True)
class Decision:
    """What is done with a trial, and what was expected of it.

    Attributes:
        group: ``startup``, ``control``, ``kept`` or ``pruned``.
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


def decide(
    memory: Memory, study: Study, trial: FrozenTrial, *, keep: float, control: float, n_startup: int, seed: int
) -> Decision:
    """Return what is done with a scored trial that is not trained yet."""
    n_trained, learnt = memory.learnt(study)
    if n_trained < n_startup or learnt is None:
        return Decision(STARTUP)
    z, values, sds = learnt.expected(as_candidate(trial))
    if derive_seed("control group of a pruner", seed, trial.number) < control * 2**63:
        group = CONTROL
    else:
        group = KEPT if is_worth_it(z, learnt.recent, keep) else PRUNED
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
    return int((is_no_worse & (others < point[:, None]).any(axis=0)).sum())
