"""What the selection rules would have found in the tables that trained_tables.py made, and where S is useless.

    python benchmarks/replay_tables.py [--repeats 200]

Regret is the validation error of the best network found minus that of the best in the pool, 80 % of a table drawn anew
for every repeat. "shuffled" replays the same tables with the sensitivities dealt out at random among the networks, anew
for every repeat: what a rule loses then, against random choice, is what believing in S costs where S says nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import harness
import numpy as np

from nas_sens.core.identity import derive_seed
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.outcome_table import read_outcome_table
from nas_sens.selection.replay import replay
from nas_sens.statistics.interval import Interval

TABLES = tuple(sorted(p.stem.removeprefix("trained_") for p in harness.RESULTS.glob("trained_*.csv")))
RULES = ("calibrated", "random", "params", "lowest", "highest")
BUDGETS = (5, 10, 20)
SHUFFLED = ("log10_sensitivity", "log10_relative_sensitivity")
POOL_SHARE = 0.8


def shuffled(candidates: tuple[Candidate, ...], seed: int) -> list[Candidate]:
    """Return the candidates with the values of both sensitivities of others, the same other for both."""
    order = np.random.default_rng(derive_seed("shuffle", seed)).permutation(len(candidates))
    return [
        dataclasses.replace(c, features={**c.features, **{k: candidates[j].features[k] for k in SHUFFLED}})
        for c, j in zip(candidates, order, strict=True)
    ]


def mean(intervals: list[Interval]) -> Interval:
    """Return the mean over shuffles with its 95 % interval, which their spread gives."""
    values = np.array([i.estimate for i in intervals])
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def row_of(table: str, rule: str, budget: int, regret: Interval, regret_sd: Interval) -> dict[str, Any]:
    """Return a row of the result, after it was shown."""
    text = f"{regret.estimate:.4f} ({regret.low:.4f} … {regret.high:.4f})"
    print(f"{table:36} {rule:12} {budget:3} regret {text}, {regret_sd.estimate:.3f} sd", flush=True)
    row = {"table": table, "rule": rule, "trainings": budget}
    return {**row, "regret": dataclasses.asdict(regret), "regret_sd": dataclasses.asdict(regret_sd)}


def rows_of(name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what the rules would have found in one table, as it is and with S shuffled."""
    table = read_outcome_table(harness.RESULTS / f"trained_{name}.csv", outcome="val_error", key="digest")
    options: dict[str, Any] = {"budgets": BUDGETS, "pool_share": POOL_SHARE}
    plain = replay(
        table.candidates, table.outcomes, rules=RULES, repeats=arguments.repeats, seed=arguments.seed, **options
    )
    rows = [row_of(name, r.rule, r.budget, r.regret, r.regret_sd) for r in plain]
    n_each = max(2, arguments.repeats // arguments.shuffles)
    found: dict[tuple[str, int], list[Any]] = {}
    for i in range(arguments.seed * arguments.shuffles, (arguments.seed + 1) * arguments.shuffles):
        pool = shuffled(table.candidates, i)
        for r in replay(pool, table.outcomes, rules=("calibrated", "random"), repeats=n_each, seed=i, **options):
            found.setdefault((r.rule, r.budget), []).append(r)
    for (rule, budget), results in found.items():
        regret, regret_sd = mean([r.regret for r in results]), mean([r.regret_sd for r in results])
        rows.append(row_of(f"{name}, S shuffled", rule, budget, regret, regret_sd))
    return rows


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the regret of every rule in every table."""
    sizes = {"repeats": arguments.repeats, "shuffles": arguments.shuffles}
    return {
        "protocol": {**sizes, "pool_share": POOL_SHARE, "rounds": 3},
        "results": [row for name in arguments.tables for row in rows_of(name, arguments)],
    }


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.set_defaults(tables=TABLES, shuffles=20)
    harness.run(parser, measure, quick={"repeats": 2, "tables": TABLES[:1], "shuffles": 2})
