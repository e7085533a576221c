"""What is trained next: a pure function of what is declared, scored and trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.candidates import CONTROL, REFINED, ScoredCandidate, TrainedCandidate
from ..selection import LEARNING_RULES, Candidate, Pick, round_sizes, select
from ..study.study_spec import StudySpec
from .learnt_outcomes import noise_of, outcomes_of
from .pool import Pool


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A training that is to be done.

    Attributes:
        candidate: What to train.
        chosen_by: The rule, or "control".
        reason: Why, in words.
        round: Number of the rule's round, from 1; None in the control group.
        round_end: Number of candidates that the rule has chosen when the round is over.
        predicted_mean: What the rule expects of its target.
        predicted_sd: The standard deviation of that.
    """

    candidate: ScoredCandidate
    chosen_by: str
    reason: str
    round: int | None = None
    round_end: int | None = None
    predicted_mean: float | None = None
    predicted_sd: float | None = None


def plan_training(
    spec: StudySpec,
    pool: Pool,
    trained: Sequence[TrainedCandidate],
    underway: Sequence[TrainedCandidate] = (),
    *,
    n_ahead: int = 0,
) -> list[Planned]:
    """Return the trainings that can begin now; none if all that is declared is done or under way.

    The control group does not see the rule. A rule that learns from outcomes chooses in rounds: the plan ends with the
    present round, and the next one is planned when it is done. Picks of a round depend on the rounds before it and,
    after the first, on the control group, so that an interrupted round goes on as it began.

    Args:
        spec: What is declared.
        pool: Everything that is scored.
        trained: Everything that is trained.
        underway: What waits for a worker or runs.
        n_ahead: How many trainings are chosen, from the second round on, for workers that are idle while others train;
            0 if they wait for the end of a round. See `plan_ahead`.
    """
    begun = [*trained, *underway]
    begun_digests = {t.digest for t in begun}
    group = pool.control_group(spec.select.control, spec.search.seed)
    control = _control(spec, pool, begun)
    reserved = {p.candidate.digest for p in control}
    chosen = [t for t in begun if t.chosen_by != CONTROL]
    if spec.select.rule not in LEARNING_RULES:
        taken = dict.fromkeys(begun_digests | {p.digest for p in group}, math.inf)
        n = max(0, spec.select.top_k - len(chosen))
        picks = select(pool.features, taken, rule=spec.select.rule, n=n, seed=spec.search.seed)
        return [*(_planned(spec, pool, p) for p in picks), *control]
    number, n, end = _present_round(spec, chosen)
    if n_ahead and underway and number > 1:
        return control or plan_ahead(spec, pool, trained, underway, n_ahead)
    present = {t.digest for t in chosen if t.round == number}
    if n < 1 or (number > 1 and (control or (underway and not present))):
        return control  # the next round learns from what is not finished yet
    before = [t for t in trained if (t.round or 0) < number and (number > 1 or t.chosen_by != CONTROL)]
    if number == 1:
        reserved = {p.digest for p in group}
    picks = _picks(spec, [c for c in pool.features if c.digest not in reserved], before, n + len(present))
    selected = [_planned(spec, pool, p, number, end) for p in picks if p.digest not in begun_digests]
    return [*selected[:n], *control]


def plan_ahead(
    spec: StudySpec,
    pool: Pool,
    trained: Sequence[TrainedCandidate],
    underway: Sequence[TrainedCandidate],
    n: int,
) -> list[Planned]:
    """Return up to ``n`` trainings for workers that are idle while others still train, where `plan_training` waits.

    What is under way is believed to come out as the rule predicts (see `calibrated`); nothing else is waited for.
    Picks then depend on which trainings were finished first.

    Args:
        spec: What is declared.
        pool: Everything that is scored.
        trained: Everything that is trained.
        underway: What waits for a worker or runs.
        n: How many at most.
    """
    chosen = [t for t in (*trained, *underway) if t.chosen_by != CONTROL]
    n = min(n, spec.select.top_k - len(chosen))
    if spec.select.rule not in LEARNING_RULES or n < 1:
        return []
    number, _, end = _present_round(spec, chosen)
    picks = _picks(spec, pool.features, trained, n, pending=[t.digest for t in underway])
    return [_planned(spec, pool, p, number, end) for p in picks]


def round_to_open(
    spec: StudySpec,
    pool: Pool,
    trained: Sequence[TrainedCandidate],
    underway: Sequence[TrainedCandidate],
    *,
    n_ahead: int = 0,
) -> int | None:
    """Return the number of the round of which `plan_training` would plan the first trainings now, from the second on.

    Args:
        spec: What is declared.
        pool: Everything that is scored.
        trained: Everything that is trained.
        underway: What waits for a worker or runs.
        n_ahead: See `plan_training`.

    Returns:
        The number; None if a round goes on, something is waited for, nothing is left to choose, or there are no rounds.
    """
    begun = [*trained, *underway]
    chosen = [t for t in begun if t.chosen_by != CONTROL]
    number, n, _ = _present_round(spec, chosen)
    is_waiting = bool(_control(spec, pool, begun)) or (bool(underway) and not n_ahead)
    is_next = number > 1 and n > 0 and all(t.round != number for t in chosen)
    return number if spec.select.rule in LEARNING_RULES and is_next and not is_waiting else None


def _control(spec: StudySpec, pool: Pool, begun: Sequence[TrainedCandidate]) -> list[Planned]:
    """Return the trainings of the control group that are not begun."""
    digests = {t.digest for t in begun}
    n = spec.select.control - sum(t.chosen_by == CONTROL for t in begun)
    return [
        Planned(candidate=pool.candidates[p.digest], chosen_by=CONTROL, reason=p.reason)
        for p in pool.control_group(spec.select.control, spec.search.seed)
        if p.digest not in digests
    ][: max(0, n)]


def _picks(
    spec: StudySpec,
    pool: Sequence[Candidate],
    known: Sequence[TrainedCandidate],
    n: int,
    *,
    pending: Sequence[str] = (),
) -> list[Pick]:
    """Return what a rule that learns chooses, given what came of the ``known`` trainings."""
    return select(
        pool,
        outcomes_of(known, spec.select.objective),
        rule=spec.select.rule,
        n=n,
        target=spec.select.target,
        direction=spec.select.direction,
        cost=spec.select.cost,
        seed=spec.search.seed,
        noise=noise_of(known, spec.select.target),
        pending=pending,
    )


def count_left(spec: StudySpec, candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> int:
    """Return the number of trainings that are left in all rounds together, those under way among them."""
    n_control = sum(t.chosen_by == CONTROL for t in trained)
    wanted = max(0, spec.select.top_k - len(trained) + n_control) + max(0, spec.select.control - n_control)
    return min(wanted, max(0, sum(c.is_ok for c in candidates) - len(trained)))


def _present_round(spec: StudySpec, chosen: Sequence[TrainedCandidate]) -> tuple[int, int, int]:
    """Return number of the round, how many it still trains, and how many are chosen when it is over."""
    n_left = spec.select.top_k - len(chosen)
    last = max((t.round or 0 for t in chosen), default=0)
    end = max((t.round_end or 0 for t in chosen), default=0)
    if len(chosen) < end:
        return last, min(end - len(chosen), n_left), end
    if n_left < 1:
        return last, 0, end
    rounds = None if spec.select.rounds is None else max(1, spec.select.rounds - last)
    size = round_sizes(n_left, rounds)[0]
    return last + 1, size, len(chosen) + size


def _planned(
    spec: StudySpec,
    pool: Pool,
    pick: Pick,
    number: int | None = None,
    end: int | None = None,
) -> Planned:
    if spec.refine is not None:  # all of them are trained: no rule has a choice
        rank = next(f.rank for f in spec.refine.finalists if f.digest == pick.digest)
        reason = f"rank {rank} of study {spec.refine.study}"
        return Planned(candidate=pool.candidates[pick.digest], chosen_by=REFINED, reason=reason)
    return Planned(
        candidate=pool.candidates[pick.digest],
        chosen_by=spec.select.rule,
        reason=pick.reason,
        round=number,
        round_end=end,
        predicted_mean=pick.predicted_mean,
        predicted_sd=pick.predicted_sd,
    )
