"""What the selection rules would have found in the tables that trained_tables.py made, and where S is useless.

    python benchmarks/replay_tables.py [--repeats 200]

Regret is the validation error of the best network found minus that of the best in the pool, 80 % of a table drawn anew
for every repeat. "shuffled" replays the same tables with the sensitivities dealt out at random among the networks, anew
for every repeat: what a rule loses then, against random choice, is what believing in S costs where S says nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from nas_sens.core.identity import derive_seed
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.outcome_table import read_outcome_table
from nas_sens.selection.replay import replay
from nas_sens.statistics.interval import Interval

RESULTS = Path(__file__).parent / "results"
TABLES = ("fashion_he_normal", "fashion_standard_normal", "mnist_he_normal", "mnist_standard_normal")
RULES = ("calibrated", "random", "params", "lowest", "highest")
BUDGETS = (5, 10, 20)
SHUFFLED = ("log10_sensitivity", "log10_relative_sensitivity")
POOL_SHARE = 0.8
N_SHUFFLES = 20


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200)
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []

    def note(table: str, rule: str, budget: int, regret: Interval, regret_sd: Interval) -> None:
        row = {"table": table, "rule": rule, "trainings": budget}
        rows.append({**row, "regret": dataclasses.asdict(regret), "regret_sd": dataclasses.asdict(regret_sd)})
        text = f"{regret.estimate:.4f} ({regret.low:.4f} … {regret.high:.4f})"
        print(f"{table:36} {rule:12} {budget:3} regret {text}, {regret_sd.estimate:.3f} sd", flush=True)

    for name in TABLES:
        table = read_outcome_table(RESULTS / f"trained_{name}.csv", outcome="val_error")
        options: dict[str, Any] = {"budgets": BUDGETS, "pool_share": POOL_SHARE}
        for r in replay(table.candidates, table.outcomes, rules=RULES, repeats=arguments.repeats, **options):
            note(name, r.rule, r.budget, r.regret, r.regret_sd)
        n_each = max(2, arguments.repeats // N_SHUFFLES)
        found: dict[tuple[str, int], list[Any]] = {}
        for i in range(N_SHUFFLES):
            pool = shuffled(table.candidates, i)
            for r in replay(pool, table.outcomes, rules=("calibrated", "random"), repeats=n_each, seed=i, **options):
                found.setdefault((r.rule, r.budget), []).append(r)
        for (rule, budget), results in found.items():
            note(
                f"{name}, S shuffled",
                rule,
                budget,
                mean([r.regret for r in results]),
                mean([r.regret_sd for r in results]),
            )
    document = {
        "protocol": {"repeats": arguments.repeats, "pool_share": POOL_SHARE, "shuffles": N_SHUFFLES, "rounds": 3},
        "environment": {
            **{"python": platform.python_version(), "numpy": np.__version__},
            "seconds": round(time.perf_counter() - start),
        },
        "results": rows,
    }
    (RESULTS / "replay_tables.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
