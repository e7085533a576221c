"""What is trained next: rounds, interruptions, failures; by an imagined rule and imagined outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

import nas_sens as ns
from nas_sens.core.candidates import CONTROL, ScoredCandidate, TrainedCandidate
from nas_sens.core.errors import InvalidInputError
from nas_sens.pipeline import plan
from nas_sens.pipeline.plan import Planned, count_left, plan_ahead, plan_training
from nas_sens.pipeline.pool import Pool
from nas_sens.selection import Candidate, Pick, round_sizes
from tests.tiny_study import tiny

SPECS = [ns.FCSpec(depth=1, width=w) for w in range(1, 41)]
SCORED = [
    ScoredCandidate(
        digest=s.digest, architecture=s.to_json(), params=s.width, flops=s.width, log10_sensitivity=float(s.width),
        number=s.width,
    )
    for s in SPECS
]  # fmt: skip
POOL = Pool(SCORED)


class Rule:
    """A rule that notes what it was shown, and chooses by digest after the number of outcomes."""

    def __init__(self) -> None:
        self.shown: list[tuple[dict[str, float], dict[str, float]]] = []
        self.pending: list[set[str]] = []

    def __call__(
        self, candidates: Sequence[Candidate], outcomes: Mapping[str, float], *, n: int, noise: Mapping[str, float],
        **others: Any,
    ) -> list[Pick]:  # fmt: skip
        assert others["rule"] == "calibrated"
        assert others["target"] == "val_error"
        self.shown.append((dict(outcomes), dict(noise)))
        self.pending.append(set(others["pending"]))
        key = len(outcomes)
        left = [c.digest for c in candidates if c.digest not in outcomes and c.digest not in others["pending"]]
        ordered = sorted(left, key=lambda d: (int(d, 16) * (2 * key + 1)) % 1_000_003)
        return [Pick(d, f"after {key}", 0.1, 0.01) for d in ordered[:n]]


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Rule:
    rule = Rule()
    monkeypatch.setattr(plan, "select", rule)
    return rule


def study(**changes: Any) -> ns.StudySpec:
    values = {"rule": "calibrated", "top_k": 8, "control": 3, "rounds": 3, **changes}
    return tiny(select=ns.SelectSpec(**values))


def trained(p: Planned, *, failed: bool = False) -> TrainedCandidate:
    c = p.candidate
    return TrainedCandidate(
        digest=c.digest, architecture=c.architecture, params=1, flops=1, candidate=0, chosen_by=p.chosen_by,
        round=p.round, round_end=p.round_end, n_seeds=4, val_error=None if failed else (c.params or 0) / 100,
        val_loss=1.0, val_error_sd=0.02, status="diverged" if failed else "ok",
    )  # fmt: skip


def run(spec: ns.StudySpec, done: list[TrainedCandidate], at_most: int = 1000) -> list[list[Planned]]:
    plans = []
    while len(done) < at_most and (todo := plan_training(spec, POOL, done)):
        assert count_left(spec, SCORED, done) >= len(todo)
        plans.append(todo)
        done += [trained(p) for p in todo[: at_most - len(done)]]
    return plans


def test_rounds_learn_from_the_rounds_before_and_from_the_control_group(rule: Rule) -> None:
    done: list[TrainedCandidate] = []
    plans = run(study(), done)
    assert [sum(p.chosen_by == "calibrated" for p in ps) for ps in plans] == [3, 3, 2]
    assert [sum(p.chosen_by == CONTROL for p in ps) for ps in plans] == [3, 0, 0]
    assert [len(outcomes) for outcomes, _ in rule.shown] == [0, 6, 9]
    assert len({t.digest for t in done}) == len(done) == 11
    for t in done[:6]:
        assert rule.shown[1][0][t.digest] == t.val_error
        assert rule.shown[1][1][t.digest] == pytest.approx(0.02 / 2)
    first = plans[0][0]
    assert (first.round, first.round_end, first.predicted_mean, first.predicted_sd) == (1, 3, 0.1, 0.01)
    assert plan_training(study(), POOL, done) == []
    assert count_left(study(), SCORED, done) == 0


def waiting(p: Planned) -> TrainedCandidate:
    """A training that is not done: nothing is known of what comes of it."""
    return replace(trained(p), val_error=None, val_loss=None, val_error_sd=None, n_seeds=1)


def test_the_next_round_waits_for_what_is_under_way(rule: Rule) -> None:
    first = plan_training(study(), POOL, [])
    assert len(first) == 6
    for n in range(6):
        done, underway = [trained(p) for p in first[:n]], [waiting(p) for p in first[n:]]
        assert plan_training(study(), POOL, done, underway) == []
    done = [trained(p) for p in first]
    second = plan_training(study(), POOL, done)
    assert {p.round for p in second} == {2}
    for n in range(3):
        underway = [waiting(p) for p in second[n:]]
        assert plan_training(study(), POOL, done + [trained(p) for p in second[:n]], underway) == []


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("n_begun", range(3))
def test_what_was_lost_of_a_round_is_chosen_again(rule: Rule, number: int, n_begun: int) -> None:
    """As is the part of a round that did not fit into the queue."""
    before = [trained(p) for p in plan_training(study(), POOL, [])] if number == 2 else []
    whole = plan_training(study(), POOL, before)
    begun, lost = whole[:n_begun], whole[n_begun:]
    for done in range(n_begun + 1):
        known = before + [trained(p) for p in begun[:done]]
        assert plan_training(study(), POOL, known, [waiting(p) for p in begun[done:]]) == lost


def test_what_is_under_way_is_not_planned_by_any_rule() -> None:
    spec = study(rule="params", top_k=6)
    whole = plan_training(spec, POOL, [])
    assert len(whole) == 9
    for n in (1, 4, 9):
        underway = [waiting(p) for p in whole[:n]]
        assert plan_training(spec, POOL, [], underway) == whole[n:]
        assert plan_training(spec, POOL, [trained(p) for p in whole[: n - 1]], underway[n - 1 :]) == whole[n:]
    assert plan_ahead(spec, POOL, [], [waiting(p) for p in whole], 3) == [], "no such rule waits for outcomes"


def test_idle_workers_need_not_wait_for_a_round(rule: Rule) -> None:
    first = plan_training(study(), POOL, [])
    done, underway = [trained(p) for p in first[:4]], [waiting(p) for p in first[4:]]
    assert plan_training(study(), POOL, done, underway) == []
    ahead = plan_ahead(study(), POOL, done, underway, 2)
    assert len(ahead) == 2
    assert rule.pending[-1] == {t.digest for t in underway}
    assert rule.shown[-1][0] == {t.digest: t.val_error for t in done}
    assert not {p.candidate.digest for p in ahead} & {t.digest for t in (*done, *underway)}
    assert {(p.chosen_by, p.round, p.round_end) for p in ahead} == {("calibrated", 2, 6)}


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_ahead_are_as_many_as_are_asked_for_while_any_is_left(rule: Rule, n: int) -> None:
    done = [trained(p) for p in plan_training(study(), POOL, [])]
    underway: list[TrainedCandidate] = []
    sizes = []
    while ahead := plan_ahead(study(), POOL, done, underway, n):
        sizes.append(len(ahead))
        assert rule.pending[-1] == {t.digest for t in underway}
        underway += [waiting(p) for p in ahead]
    chosen = [t.digest for t in (*done, *underway)]
    assert sum(sizes) == 8 - 3
    assert all(size == n for size in sizes[:-1])
    assert len(chosen) == len(set(chosen)) == 8 + 3
    assert n > 1 or [t.round for t in underway] == [2, 2, 2, 3, 3]
    # Trained in whatever order, no more than the declared number is chosen, by either way of planning.
    assert plan_training(study(), POOL, done, underway) == []
    assert plan_training(study(), POOL, [*done, *underway]) == []


def test_a_small_space_ends_planning_ahead(rule: Rule) -> None:
    few = Pool(SCORED[:7])
    first = plan_training(study(), few, [])
    done = [trained(p) for p in first]
    ahead = plan_ahead(study(), few, done, [], 5)
    assert len(ahead) == 1
    assert plan_ahead(study(), few, done, [waiting(p) for p in ahead], 5) == []


@pytest.mark.parametrize("stop", range(1, 11))
def test_an_interruption_changes_nothing(rule: Rule, stop: int) -> None:
    whole: list[TrainedCandidate] = []
    run(study(), whole)
    done: list[TrainedCandidate] = []
    run(study(), done, at_most=stop)
    run(study(), done)
    assert {(t.digest, t.chosen_by, t.round) for t in done} == {(t.digest, t.chosen_by, t.round) for t in whole}


def test_a_larger_top_k_adds_rounds(rule: Rule) -> None:
    done: list[TrainedCandidate] = []
    run(study(), done)
    before = list(done)
    plans = run(study(top_k=13), done)
    assert [[p.round for p in ps] for ps in plans] == [[4] * 5]
    assert done[:11] == before
    assert len(rule.shown[-1][0]) == 11


def test_failures_are_the_worst_outcome(rule: Rule) -> None:
    done = [trained(p, failed=True) for p in plan_training(study(), POOL, [])]
    plan_training(study(), POOL, done)
    assert set(rule.shown[-1][0].values()) == {math.inf}


def test_another_rule_goes_on_after_what_one_that_learns_has_chosen(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[TrainedCandidate] = []
    run(study(), done)
    monkeypatch.undo()
    more = plan_training(study(rule="params", top_k=10), POOL, done)
    left = sorted((c for c in SCORED if c.digest not in {t.digest for t in done}), key=lambda c: -(c.params or 0))
    group = {p.candidate.digest for p in plan_training(study(rule="params", top_k=1, control=3), POOL, [])}
    assert [p.candidate.digest for p in more] == [c.digest for c in left if c.digest not in group][:2]
    assert {p.round for p in more} == {None}
    old = [replace(t, round=None, round_end=None, chosen_by="pareto") for t in done[:3]] + done[3:6]
    monkeypatch.setattr(plan, "select", rule)
    assert {p.round for p in plan_training(study(), POOL, old)} == {1}


@pytest.mark.parametrize(
    ("top_k", "rounds", "sizes"),
    [(12, 3, [4, 4, 4]), (8, 3, [3, 3, 2]), (2, 5, [1, 1]), (7, 1, [7]), (7, None, [2, 2, 2, 1]), (1, None, [1])],
)
def test_sizes_of_rounds(rule: Rule, top_k: int, rounds: int | None, sizes: list[int]) -> None:
    assert round_sizes(top_k, rounds) == sizes
    plans = run(study(top_k=top_k, rounds=rounds), [])
    assert [sum(p.chosen_by == "calibrated" for p in ps) for ps in plans] == sizes
    assert [p.round for ps in plans for p in ps if p.round] == [i for i, n in enumerate(sizes, 1) for _ in range(n)]


@pytest.mark.parametrize("rounds", [None, 3])
@pytest.mark.parametrize("n_workers", [2, 5, 9])
def test_no_worker_waits_while_anything_is_left_to_choose(rule: Rule, rounds: int | None, n_workers: int) -> None:
    """And whoever chooses for an idle one knows all outcomes, and believes in all that runs."""
    spec = study(top_k=20, rounds=rounds)
    done: list[TrainedCandidate] = []
    queue: list[Planned] = []
    running: list[Planned] = []
    while True:
        while len(running) < n_workers and len(done) + len(running) < 23:
            if not queue:
                begun = [waiting(p) for p in running]
                rule.shown.clear()
                queue = plan_training(spec, POOL, done, begun, n_ahead=1)
                assert queue, "a worker would wait"
                if done and begun:
                    assert [*rule.shown[0][0]] == [t.digest for t in done]
                    assert rule.pending[-1] == {t.digest for t in begun}
            running.append(queue.pop(0))
        if not running:
            break
        done.append(trained(running.pop(0)))
    assert len({t.digest for t in done}) == len(done) == 23
    assert plan_training(spec, POOL, done, n_ahead=1) == []


def test_a_cost_makes_the_rule_improve_the_front_of_both() -> None:
    done: list[TrainedCandidate] = []
    for _ in range(3):  # the first batch and the control group, then the second round
        picks = plan_training(study(cost="log10_params"), POOL, done)
        plain = plan_training(study(), POOL, done)
        if any(p.round == 2 for p in picks):
            break
        done += [trained(p) for p in picks]
    assert all("the front of val_error and log10_params" in p.reason for p in picks)
    assert not any("front" in p.reason for p in plain)
    with pytest.raises(InvalidInputError, match=r"'latency' is not; there are: .*log10_flops"):
        plan_training(study(cost="latency"), POOL, done)
    with pytest.raises(ValueError, match='needs rule "calibrated" for a cost'):
        study(cost="log10_params", rule="params")
