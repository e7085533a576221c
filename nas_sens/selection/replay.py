"""What selection rules would have found in a table of known outcomes: regret and rank after so many trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from ..core.errors import InvalidInputError
from ..core.identity import derive_seed
from ..statistics.interval import Interval
from . import LEARNING_RULES, RULES, round_sizes, select
from .candidates import Candidate, in_fixed_order

DEFAULT_RULES = ("calibrated", "params", "random", "lowest", "highest")


@dataclass(frozen=True, kw_only=True)
class ReplayResult:
    """How well one rule did with one budget; intervals are 95 % confidence intervals of means over repeats.

    Attributes:
        rule: The rule.
        budget: Number of trainings.
        repeats: Number of repeats.
        pool_size: Number of candidates in the pool of every repeat.
        regret: Best outcome found minus best in the pool, in the unit of the outcome. A rule that found failed
            trainings only counts as if it had found the worst finite outcome of the table.
        regret_sd: The same in standard deviations of the finite outcomes of the table.
        rank: Rank of the best found in the pool, from 1.
    """

    rule: str
    budget: int
    repeats: int
    pool_size: int
    regret: Interval
    regret_sd: Interval
    rank: Interval


def replay(
    candidates: Sequence[Candidate],
    outcomes: Mapping[str, float],
    *,
    rules: Sequence[str] = DEFAULT_RULES,
    budgets: Sequence[int] = (5, 10, 20),
    repeats: int = 200,
    seed: int = 0,
    pool_share: float = 0.5,
    rounds: int | None = None,
) -> list[ReplayResult]:
    """Return what every rule finds with every budget, in the order of the rules and the budgets.

    Every repeat draws a pool of its own, ``pool_share`` of the table without replacement and the same for all rules
    and budgets, and has a seed of its own. Intervals therefore say how much luck with pool and seed matters; what
    another table would say they cannot know. Rules that learn choose two at a time, or anew for every budget in
    ``rounds`` rounds.

    Args:
        candidates: The architectures of the table.
        outcomes: Digest to outcome of all of them; smaller is better, infinite if the training failed.
        rules: Selection rules, or features with a sign: ``+log10_flops`` trains the largest first, ``-log10_flops``
            the smallest, candidates without the feature last, equals in random order.
        budgets: Numbers of trainings.
        repeats: Number of repeats, at least 2.
        seed: Seed of pools and rules; the same input gives the same result.
        pool_share: Share of the table in a pool, in (0, 1].
        rounds: Number of rounds of rules that learn; None for two trainings at a time.

    Raises:
        InvalidInputError: An outcome is missing, NaN or −∞, all of them are infinite, a rule is unknown, or a number is
            out of its range.
    """
    table = in_fixed_order(candidates)
    values = _checked(table, outcomes)
    finite = values[np.isfinite(values)]
    bounded = np.minimum(values, finite.max())
    n_pool = round(pool_share * len(table))
    _check(table, rules, budgets=budgets, repeats=repeats, n_pool=n_pool, pool_share=pool_share, rounds=rounds)
    found: dict[tuple[str, int], list[tuple[float, int]]] = {(r, b): [] for r in rules for b in budgets}
    for repeat in range(repeats):
        own = derive_seed("replay", seed, repeat)
        drawn = np.sort(np.random.default_rng(own).choice(len(table), n_pool, replace=False))
        pool, in_pool = [table[i] for i in drawn], np.sort(bounded[drawn])
        known = {c.digest: float(v) for c, v in zip(pool, values[drawn], strict=True)}
        for rule in rules:
            for budget, best in _best_found(pool, known, rule, budgets, seed=own, rounds=rounds).items():
                best = min(best, float(finite.max()))
                rank = 1 + int(np.searchsorted(in_pool, best))
                found[rule, budget].append((best - float(in_pool[0]), rank))
    sd = float(finite.std(ddof=1)) if finite.size > 1 else 0.0
    return [_result(rule, budget, pairs, n_pool, sd) for (rule, budget), pairs in found.items()]


def _best_found(
    pool: Sequence[Candidate],
    known: Mapping[str, float],
    rule: str,
    budgets: Sequence[int],
    *,
    seed: int,
    rounds: int | None,
) -> dict[int, float]:
    """Return the best outcome that a rule finds with each budget."""
    best: dict[int, float] = {}
    if rule in LEARNING_RULES:
        # First picks do not depend on how many are asked for: with rounds of two, a small budget begins a large one.
        for longest in [max(budgets)] if rounds is None else budgets:
            trained: dict[str, float] = {}
            for n in round_sizes(longest, rounds):
                trained |= {p.digest: known[p.digest] for p in select(pool, trained, rule=rule, n=n, seed=seed)}
            found = list(trained.values())
            best |= {b: min(found[:b]) for b in (budgets if rounds is None else [longest])}
        return best
    if rule in RULES:
        order = [p.digest for p in select(pool, {}, rule=rule, n=max(budgets), seed=seed)]
    else:
        order = _by_feature(pool, rule, seed)
    for budget in budgets:
        best[budget] = min(known[d] for d in order[:budget])
    return best


def _by_feature(pool: Sequence[Candidate], rule: str, seed: int) -> list[str]:
    """Return digests in the order of one feature."""
    sign, name = -1.0 if rule[0] == "+" else 1.0, rule[1:]

    def place(c: Candidate) -> tuple[bool, float, int]:
        value = c.features.get(name, math.nan)
        is_missing = math.isnan(value)
        return is_missing, 0.0 if is_missing else sign * value, derive_seed("equal feature", seed, c.digest)

    return [c.digest for c in sorted(pool, key=place)]


def _result(rule: str, budget: int, pairs: Sequence[tuple[float, int]], n_pool: int, sd: float) -> ReplayResult:
    regrets, ranks = np.array(pairs, dtype=np.float64).T
    in_sd = regrets / sd if sd > 0 else np.where(regrets > 0, math.nan, 0.0)
    return ReplayResult(
        rule=rule,
        budget=budget,
        repeats=len(pairs),
        pool_size=n_pool,
        regret=_mean(regrets),
        regret_sd=_mean(in_sd),
        rank=_mean(ranks),
    )


def _mean(values: np.ndarray) -> Interval:
    """Return the mean with its 95 % t interval."""
    mean, n = float(values.mean()), len(values)
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half)


def _checked(table: Sequence[Candidate], outcomes: Mapping[str, float]) -> np.ndarray:
    """Return the outcomes of the table, shape (n,).

    Raises:
        InvalidInputError: An outcome is missing, NaN or −∞, or none is finite.
    """
    for c in table:
        value = outcomes.get(c.digest, math.nan)
        if math.isnan(value) or value == -math.inf:
            given = repr(outcomes[c.digest]) if c.digest in outcomes else "none"
            raise InvalidInputError(f"a replay needs an outcome of every candidate; given {given} for {c.digest}")
    values = np.array([outcomes[c.digest] for c in table], dtype=np.float64)
    if not np.isfinite(values).any():
        raise InvalidInputError(f"a replay needs a finite outcome; given {len(values)}, none of them finite")
    return values


def _check(
    table: Sequence[Candidate],
    rules: Sequence[str],
    *,
    budgets: Sequence[int],
    repeats: int,
    n_pool: int,
    pool_share: float,
    rounds: int | None,
) -> None:
    names = {name for c in table for name in c.features}
    for rule in rules:
        if rule not in RULES and not (rule[:1] in ("+", "-") and rule[1:] in names):
            valid = ", ".join([*RULES, *sorted(f"±{n}" for n in names)])
            raise InvalidInputError(f"unknown rule {rule!r}; valid: {valid}")
    if repeats < 2 or (rounds is not None and rounds < 1) or not 0 < pool_share <= 1:
        raise InvalidInputError(
            "a replay needs at least 2 repeats, at least 1 round and a share in (0, 1]; "
            f"given {repeats}, {'rounds of two' if rounds is None else rounds} and {pool_share}"
        )
    if not budgets or min(budgets) < 1 or max(budgets) > n_pool:
        raise InvalidInputError(
            f"budgets must lie between 1 and the {n_pool} candidates of a pool; given {list(budgets)}; "
            "take smaller ones, or a larger share of the table"
        )
