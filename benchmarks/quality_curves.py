"""What rules find with more and more trainings: the rows of search_quality.py's curves, and their summary."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nas_sens.statistics.interval import Interval

BUDGETS = (5, 10, 20, 40, 80)


@dataclass(frozen=True)
class Row:
    """What a rule finds in a table with so many trainings; against: by how many percentiles ours differs."""

    table: str
    rule: str
    budget: int
    regret: Interval
    percentile: Interval
    against: Interval | None


def mean(values: np.ndarray) -> Interval:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Interval(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return of how many tables ours is ahead (of a rule), equal, or behind, by budget."""
    found: dict[str, Any] = {}
    for budget in BUDGETS:
        counts: dict[str, list[int]] = {}
        hindsight: dict[str, float] = {}
        for row in rows:
            if row.budget != budget or row.rule == "calibrated" or row.against is None:
                continue
            way = 0 if row.against.high < 0 else 2 if row.against.low > 0 else 1
            counts.setdefault(row.rule, [0, 0, 0])[way] += 1
            if row.rule[0] in "+-":
                hindsight[row.table] = round(max(row.against.estimate, hindsight.get(row.table, -math.inf)), 3)
        if counts:
            shown = {name: "{} ahead, {} equal, {} behind".format(*c) for name, c in sorted(counts.items())}
            found[str(budget)] = {"ours": shown, "percentiles_behind_best_single_rule_in_hindsight": hindsight}
    return found


def write_curves(path: Path, rows: Sequence[Row]) -> None:
    """Write what all rules find, one line a table, rule and budget."""
    kinds = ("regret", "percentile", "against")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["table", "rule", "budget", *(f"{kind}{end}" for kind in kinds for end in ("", "_low", "_high"))]
        )
        for row in rows:
            found = [getattr(row, kind) for kind in kinds]
            numbers = [v for i in found for v in ((i.estimate, i.low, i.high) if i else ("", "", ""))]
            writer.writerow([row.table, row.rule, row.budget, *(v if v == "" else f"{v:.4g}" for v in numbers)])
    print(f"written to {path}")
