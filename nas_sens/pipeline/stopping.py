"""When a search stops: what further trainings are expected to gain, said at its end and compared with a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.candidates import TrainedCandidate
from ..selection import LEARNING_RULES
from ..selection.prospects import AHEAD, Prospects, prospects
from ..study.study_spec import StudySpec
from .learnt_outcomes import noise_of, outcomes_of
from .pool import Pool


def prospects_of(spec: StudySpec, pool: Pool, trained: Sequence[TrainedCandidate]) -> Prospects | None:
    """Return what training on would gain by the rule of a study that learns; None for others, or if nothing is learnt.

    Args:
        spec: What is declared.
        pool: Everything that is scored.
        trained: Everything that is trained.
    """
    if spec.select.rule not in LEARNING_RULES or spec.select.cost is not None:
        return None
    objective = spec.select.objective
    losses = {digest: objective.as_loss(value) for digest, value in outcomes_of(trained, objective).items()}
    return prospects(pool.features, losses, objective=objective, noise=noise_of(trained, objective.name))


def is_enough(spec: StudySpec, expected: Prospects | None) -> bool:
    """Return whether further trainings are expected to gain less than ``[select] stop_gain``."""
    limit = spec.select.stop_gain
    return limit is not None and expected is not None and expected.next_ten < limit


def as_attribute(expected: Prospects, n_trained: int) -> Mapping[str, Any]:
    """Return what a study keeps of it."""
    return {"n_trained": n_trained, "next_one": expected.next_one, "next_ten": expected.next_ten}


def from_attribute(attribute: Mapping[str, Any] | None, n_trained: int) -> Prospects | None:
    """Return what a study keeps of it; None if it keeps nothing, or nothing since its latest trainings."""
    if attribute is None or attribute["n_trained"] != n_trained:
        return None
    return Prospects(attribute["next_one"], attribute["next_ten"])


def in_words(expected: Prospects, target: str, *, is_stopped: bool) -> str:
    """Return what is said at the end of a search."""
    to_do = "lower stop_gain" if is_stopped else "raise top_k"
    return (
        f"further trainings are expected to improve the best {target} by {expected.next_one:.2g} (the next one) and "
        f"{expected.next_ten:.2g} (the next {AHEAD}); {to_do} to go on"
    )


def stopped_in_words(spec: StudySpec, n_trained: int, n_left: int) -> str:
    """Return what is said where a search stops before all that it may train."""
    limit = f"stop_gain = {spec.select.stop_gain:g}"
    return f"stopped after {n_trained} trainings, {n_left} left out: the next {AHEAD} should gain less than {limit}"
