"""Replay of rules: against a plain second program, expectations by combinatorics, and what must hold."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import derive_seed
from nas_sens.selection import round_sizes, select
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.replay import replay


def table_of(n=60, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = 0.1 - 0.02 * (x[:, 0] + noise * rng.normal(size=n))
    names = ("log10_sensitivity", "log10_params", "log10_flops")
    candidates = [Candidate(f"{i:03d}", dict(zip(names, map(float, row), strict=True))) for i, row in enumerate(x)]
    return candidates, {c.digest: float(v) for c, v in zip(candidates, y, strict=True)}


def by_hand(candidates, outcomes, rule, budget, repeats, seed, rounds=None):
    """Regrets and ranks of every repeat, as the docstring says it."""
    everyone = sorted(candidates, key=lambda c: c.digest)
    worst = max(v for v in outcomes.values() if math.isfinite(v))
    regrets, ranks = [], []
    for repeat in range(repeats):
        own = derive_seed("replay", seed, repeat)
        drawn = np.random.default_rng(own).choice(len(everyone), round(0.5 * len(everyone)), replace=False)
        pool = [everyone[i] for i in drawn]
        if rule == "calibrated":
            trained = {}
            for n in round_sizes(budget, rounds):
                for pick in select(pool, dict(trained), rule=rule, n=n, seed=own):
                    trained[pick.digest] = outcomes[pick.digest]
            found = list(trained.values())
        elif rule[0] in "+-":
            sign = 1 if rule[0] == "-" else -1
            found = [outcomes[c.digest] for c in sorted(pool, key=lambda c: sign * c.features[rule[1:]])[:budget]]
        else:
            found = [outcomes[p.digest] for p in select(pool, {}, rule=rule, n=budget, seed=own)]
        values = sorted(min(outcomes[c.digest], worst) for c in pool)
        best = min(*found, worst)
        regrets.append(best - values[0])
        ranks.append(1 + sum(v < best for v in values))
    return regrets, ranks


@pytest.mark.parametrize("rule", ["calibrated", "params", "random", "highest", "+log10_flops", "-log10_sensitivity"])
@pytest.mark.parametrize("rounds", [None, 3])
def test_results_are_those_of_a_plain_program(rule, rounds):
    candidates, outcomes = table_of()
    outcomes["007"] = outcomes["013"] = math.inf
    results = replay(candidates, outcomes, rules=[rule], budgets=(8, 3), repeats=6, seed=5, rounds=rounds)
    sd = np.std([v for v in outcomes.values() if math.isfinite(v)], ddof=1)
    assert [r.budget for r in results] == [8, 3]
    for result in results:
        regrets, ranks = by_hand(candidates, outcomes, rule, result.budget, 6, 5, rounds)
        interval = stats.t.interval(0.95, 5, np.mean(regrets), stats.sem(regrets))
        assert result.regret.estimate == pytest.approx(np.mean(regrets))
        assert (result.regret.low, result.regret.high) == pytest.approx(interval, nan_ok=True)
        assert result.regret_sd.estimate == pytest.approx(np.mean(regrets) / sd)
        assert result.rank.estimate == pytest.approx(np.mean(ranks))
        assert (result.rule, result.repeats, result.pool_size) == (rule, 6, 30)


def test_random_has_the_rank_that_combinatorics_expects():
    candidates, outcomes = table_of(n=100)
    for result in replay(candidates, outcomes, rules=["random"], budgets=(4, 9), repeats=400):
        expected = (50 + 1) / (result.budget + 1)
        assert result.rank.low < expected < result.rank.high
        assert result.rank.high - result.rank.low < expected / 2


def test_calibrated_beats_chance_where_a_feature_tells_whichever_way_it_goes():
    candidates, outcomes = table_of(n=150)
    for sign in (1, -1):
        mirrored = [
            Candidate(c.digest, {**c.features, "log10_sensitivity": sign * c.features["log10_sensitivity"]})
            for c in candidates
        ]
        results = replay(mirrored, outcomes, rules=["calibrated", "random"], budgets=(10,), repeats=20)
        calibrated, chance = (r.regret for r in results)
        assert calibrated.high < chance.low
        assert calibrated.estimate < 0.5 * chance.estimate


def test_the_best_rule_has_no_regret_and_rank_one():
    candidates, outcomes = table_of(noise=0.0)
    best, worst = replay(
        candidates, outcomes, rules=["+log10_sensitivity", "-log10_sensitivity"], budgets=(1,), repeats=5
    )
    assert (best.regret.estimate, best.regret.high, best.rank.estimate) == (0, 0, 1)
    assert worst.rank.estimate == 30


def test_the_same_input_gives_the_same_result_and_seeds_differ():
    candidates, outcomes = table_of()
    options = {"rules": ["calibrated", "random"], "budgets": (4,), "repeats": 4}
    first = replay(candidates, outcomes, **options)
    assert replay(candidates[::-1], dict(reversed(outcomes.items())), **options) == first
    assert replay(candidates, outcomes, **{**options, "rules": ["random"]}) == first[1:]
    assert replay(candidates, outcomes, seed=1, **options) != first


def test_candidates_without_a_feature_come_last_and_equals_in_random_order():
    candidates = [Candidate(f"{i:02d}", {"x": 0.0} if i < 15 else {"x": math.nan} if i < 18 else {}) for i in range(20)]
    outcomes = {c.digest: float(i) if i < 15 else -1.0 - i for i, c in enumerate(candidates)}
    (few, all_but_two) = replay(candidates, outcomes, rules=["-x"], budgets=(15, 18), repeats=30, pool_share=1.0)
    assert few.regret.estimate == 20  # the best with the feature is 0, the best of all -20
    assert all_but_two.regret.estimate < 20
    (one,) = replay(candidates, outcomes, rules=["+x"], budgets=(1,), repeats=30, pool_share=1.0)
    assert one.rank.high - one.rank.low > 1


def test_failures_alone_count_as_the_worst():
    candidates = [Candidate(f"{i}", {"x": float(i)}) for i in range(6)]
    outcomes = {"0": math.inf, "1": math.inf, "2": 3.0, "3": 2.0, "4": 1.0, "5": 1.5}
    (result,) = replay(candidates, outcomes, rules=["-x"], budgets=(2,), repeats=2, pool_share=1.0)
    assert result.regret.estimate == 2.0
    assert math.isfinite(result.regret_sd.estimate)


def test_what_is_wrong_is_refused():
    candidates, outcomes = table_of()
    faults = [
        ({"rules": ["best"]}, "unknown rule 'best'; valid: calibrated"),
        ({"rules": ["+depth"]}, "±log10_flops"),
        ({"rules": [""]}, "unknown rule ''"),
        ({"budgets": (31,)}, "between 1 and the 30 candidates of a pool; given [31]"),
        ({"budgets": ()}, "given []"),
        ({"budgets": (0,)}, "given [0]"),
        ({"repeats": 1}, "at least 2 repeats"),
        ({"rounds": 0}, "at least 1 round"),
        ({"pool_share": 1.5}, "a share in (0, 1]"),
    ]
    for options, message in faults:
        with pytest.raises(InvalidInputError) as caught:
            replay(candidates, outcomes, **options)
        assert message in str(caught.value)
    for value in (math.nan, -math.inf):
        with pytest.raises(InvalidInputError, match=f"given {value} for 003"):
            replay(candidates, {**outcomes, "003": value})
    with pytest.raises(InvalidInputError, match="given none for 003"):
        replay(candidates, {k: v for k, v in outcomes.items() if k != "003"})
    with pytest.raises(InvalidInputError, match="needs a finite outcome"):
        replay(candidates, dict.fromkeys(outcomes, math.inf))


def test_a_result_is_a_plain_record():
    candidates, outcomes = table_of()
    (result,) = replay(candidates, outcomes, rules=["random"], budgets=(2,), repeats=2)
    assert set(dataclasses.asdict(result)) == {
        "rule",
        "budget",
        "repeats",
        "pool_size",
        "regret",
        "regret_sd",
        "rank",
    }
