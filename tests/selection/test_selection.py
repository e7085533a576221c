"""Selection rules against brute force, and what holds for all of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import digest
from nas_sens.selection import LEARNING_RULES, RULES, Candidate, control_group, round_sizes, select
from nas_sens.study.select_spec import SelectSpec

RULE_NAMES = tuple(RULES)
TOLERANCE = 1e-12


def make(n, seed=0, n_levels=None):
    """Return random candidates; with ``n_levels`` on a coarse grid, so that many are equal in one or both features."""
    rng = np.random.default_rng(seed)
    s, p = rng.normal(3, 2, n), rng.uniform(3, 6, n)
    if n_levels:
        s, p = rng.integers(0, n_levels, n).astype(float), rng.integers(0, n_levels, n).astype(float)
    return [
        Candidate(digest([seed, i]), {"log10_sensitivity": float(a), "log10_params": float(b)}, family="fc")
        for i, (a, b) in enumerate(zip(s, p, strict=True))
    ]


def features(candidate):
    return candidate.features["log10_sensitivity"], candidate.features["log10_params"]


def picked(candidates, rule, n, outcomes=(), seed=0):
    return [p.digest for p in select(candidates, dict.fromkeys(outcomes, 0.1), rule=rule, n=n, seed=seed)]


def dominates(a, b):
    """Whether a is as insensitive and as large as b, and better in one of the two."""
    (sa, pa), (sb, pb) = features(a), features(b)
    return sa <= sb and pa >= pb and (sa < sb or pa > pb)


def fronts_by_definition(candidates):
    left, fronts = list(candidates), []
    while left:
        front = [c for c in left if not any(dominates(o, c) for o in left)]
        fronts.append({c.digest for c in front})
        left = [c for c in left if c.digest not in fronts[-1]]
    return fronts


CASES = [(1, None), (2, None), (7, None), (40, None), (40, 4), (60, 2), (5, 1)]


@pytest.mark.parametrize("rule", RULE_NAMES)
@pytest.mark.parametrize(("n", "n_levels"), CASES)
def test_every_rule_picks_everyone_once_in_any_order_of_the_input(rule, n, n_levels):
    candidates = make(n, n_levels=n_levels)
    order = picked(candidates, rule, n + 5)
    assert sorted(order) == sorted(c.digest for c in candidates)
    for seed in range(3):
        shuffled = [candidates[i] for i in np.random.default_rng(seed).permutation(n)]
        assert picked(shuffled, rule, n) == order


@pytest.mark.parametrize("rule", sorted(set(RULE_NAMES) - set(LEARNING_RULES)))
@pytest.mark.parametrize("n_levels", [None, 3])
def test_eight_at_once_are_three_and_then_five_more(rule, n_levels):
    candidates = make(30, n_levels=n_levels)
    first = picked(candidates, rule, 3)
    assert first + picked(candidates, rule, 5, outcomes=first) == picked(candidates, rule, 8)


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_what_is_under_way_is_not_picked_again(rule):
    candidates = make(20)
    underway = [c.digest for c in candidates[::2]]
    picks = select(candidates, {}, rule=rule, n=20, pending=underway)
    assert sorted(p.digest for p in picks) == sorted(c.digest for c in candidates[1::2])


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_the_trained_are_not_picked_again(rule):
    candidates = make(20)
    trained = [c.digest for c in candidates[::2]]
    rest = picked(candidates, rule, 20, outcomes=[*trained, "of another study"])
    assert sorted(rest) == sorted(c.digest for c in candidates[1::2])


@pytest.mark.parametrize(("n", "n_levels"), CASES)
def test_pareto_goes_front_by_front(n, n_levels):
    candidates = make(n, seed=n, n_levels=n_levels)
    picks = select(candidates, {}, rule="pareto", n=n)
    i = 0
    for number, front in enumerate(fronts_by_definition(candidates), 1):
        mine = picks[i : i + len(front)]
        assert {p.digest for p in mine} == front
        assert {p.reason for p in mine} == {f"Pareto front {number} of low sensitivity and many parameters"}
        i += len(front)


def test_pareto_begins_in_the_middle_of_a_front_and_goes_far():
    # One front: the more parameters, the more sensitive. In units of the ranges the points lie on the diagonal but for
    # b, which has a little less of both evils together.
    values = {"a": (0.0, 0.0), "b": (4.9, 5.0), "c": (8.0, 8.0), "d": (10.0, 10.0), "e": (1.0, 1.0)}
    candidates = [Candidate(k, {"log10_sensitivity": s, "log10_params": p}) for k, (s, p) in values.items()]
    order = picked(candidates, "pareto", 5)
    assert order[:3] == ["b", "d", "a"]
    points = {k: np.array(v) / 10 for k, v in values.items()}
    for i in range(1, 4):  # by brute force: nobody left is farther from those taken
        gap = {k: min(np.linalg.norm(points[k] - points[t]) for t in order[:i]) for k in values if k not in order[:i]}
        assert gap[order[i]] >= max(gap.values()) - TOLERANCE


def test_lowest_takes_the_least_sensitive_of_four_bands_in_turn():
    candidates = make(22)
    by_size = sorted(candidates, key=lambda c: c.features["log10_params"])
    edges = [round(i * 22 / 4) for i in range(5)]
    bands = [sorted(by_size[a:b], key=lambda c: features(c)[0]) for a, b in itertools.pairwise(edges)]
    expected = [c.digest for rank in itertools.zip_longest(*bands) for c in rank if c is not None]
    assert picked(candidates, "lowest", 22) == expected
    reason = select(candidates, {}, rule="lowest", n=1)[0].reason
    assert reason == f"sensitivity rank 1 of {len(bands[0])} in parameter band 1 of 4"


def test_highest_is_the_twin_of_lowest():
    candidates = make(22)
    mirrored = [
        Candidate(c.digest, {"log10_sensitivity": -features(c)[0], "log10_params": features(c)[1]}) for c in candidates
    ]
    assert picked(candidates, "highest", 22) == picked(mirrored, "lowest", 22)
    assert picked(candidates, "highest", 22) != picked(candidates, "lowest", 22)
    reason = select(candidates, {}, rule="highest", n=1)[0].reason
    assert reason == "sensitivity rank 1 of 6 in parameter band 1 of 4, the largest first"


def test_params_takes_the_largest():
    candidates = make(15)
    expected = sorted(candidates, key=lambda c: features(c)[1], reverse=True)
    assert picked(candidates, "params", 15) == [c.digest for c in expected]


def test_random_depends_on_the_seed_and_prefers_nobody():
    candidates = make(10)
    assert picked(candidates, "random", 10, seed=1) == picked(candidates, "random", 10, seed=1)
    places = np.array(
        [[picked(candidates, "random", 10, seed=s).index(c.digest) for c in candidates] for s in range(300)]
    )
    # Places 0 … 9: mean 4.5, sd of a mean over 300 seeds 2.87 / sqrt(300).
    assert np.abs(places.mean(axis=0) - 4.5).max() < 4 * 2.87 / math.sqrt(300)


def test_random_keeps_its_order_when_candidates_are_added():
    few, many = make(10), make(25)
    mine = {c.digest for c in few}
    assert [d for d in picked(many, "random", 25) if d in mine] == picked(few, "random", 10)


def test_the_control_group_is_random_seeded_and_blind_to_scores():
    candidates = make(40)
    group = [p.digest for p in control_group(candidates, n=6, seed=3)]
    other_scores = [Candidate(c.digest, {"log10_sensitivity": 0.0, "log10_params": 0.0}) for c in candidates[::-1]]
    assert [p.digest for p in control_group(other_scores, n=6, seed=3)] == group
    assert [p.digest for p in control_group(candidates, n=3, seed=3)] == group[:3]
    assert [p.digest for p in control_group(candidates, n=6, seed=4)] != group
    assert group != picked(candidates, "random", 6, seed=3), "the control group must not be the rule 'random' itself"
    assert len(control_group(candidates, n=100)) == len({p.digest for p in control_group(candidates, n=100)}) == 40
    assert all("random" in p.reason for p in control_group(candidates, n=2))


@pytest.mark.parametrize("rule", RULE_NAMES)
def test_nobody_and_none(rule):
    assert select([], {}, rule=rule, n=3) == []
    assert select(make(5), {}, rule=rule, n=0) == []
    assert control_group([], n=3) == []


def test_what_is_wrong_is_refused():
    with pytest.raises(InvalidInputError, match="unknown selection rule 'paretto'; did you mean 'pareto'"):
        select(make(3), {}, rule="paretto", n=1)
    with pytest.raises(InvalidInputError, match="at least 0; given -1"):
        select(make(3), {}, rule="lowest", n=-1)
    with pytest.raises(InvalidInputError, match="is given twice"):
        select([*make(3), make(3)[0]], {}, rule="random", n=1)


@pytest.mark.parametrize(
    ("top_k", "rounds", "sizes"),
    [(12, 3, [4, 4, 4]), (8, 3, [3, 3, 2]), (2, 3, [1, 1]), (5, 1, [5]), (0, 3, []), (5, None, [2, 2, 1])],
)
def test_rounds_share_the_picks_evenly(top_k, rounds, sizes):
    assert round_sizes(top_k, rounds) == sizes


def test_every_rule_can_be_declared_and_says_what_it_does():
    for rule, order in RULES.items():
        assert SelectSpec(rule=rule).rule == rule
        assert order.__doc__
    assert set(LEARNING_RULES) <= set(RULES)
