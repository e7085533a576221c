"""How often the quickstart's report can tell: its three lights for several sizes of both groups, over many seeds.

    python benchmarks/quickstart_lights.py

Searches are made on a table of 160 networks of the quickstart's space, trained as it trains (trained_tables.py): the
control group is drawn, then the study's rule chooses in its rounds from the others, learning from what was trained.
Each search is a study as the report sees it, and the lights are the report's own. "decided" is green, amber or red. The
pool of the quickstart itself has 400 candidates; of 160 there are fewer good ones left to choose.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import harness
from quality_tables import Table, trained_tables

from nas_sens.core.candidates import CONTROL, ScoredCandidate, TrainedCandidate
from nas_sens.report import answer
from nas_sens.selection import control_group, round_sizes, select

SIZES = ((6, 3), (6, 6), (8, 8), (10, 6), (10, 8), (8, 12), (10, 10), (12, 12))  # selected, control
KEYS = ("better than random", "S beyond size", "another seed")
TARGET = "val_error"


def the_table() -> tuple[Table, list[dict[str, str]]]:
    """Return the table of the quickstart, with its rows as they were written."""
    table = next(t for t in trained_tables() if t.name == "quickstart")
    with (harness.RESULTS / "trained_quickstart.csv").open(newline="", encoding="utf-8") as file:
        return table, list(csv.DictReader(file))


def searched(table: Table, rule: str, n_selected: int, n_control: int, seed: int) -> dict[str, str]:
    """Return by whom each network was chosen that a search trains, by digest."""
    pool = [c for c, is_alive in zip(table.candidates, table.is_alive, strict=True) if is_alive]
    losses = dict(zip((c.digest for c in table.candidates), map(float, table.losses), strict=True))
    chosen = {pick.digest: CONTROL for pick in control_group(pool, n=n_control, seed=seed)}
    rest = [c for c in pool if c.digest not in chosen]
    for i, size in enumerate(round_sizes(n_selected)):
        known = {digest: losses[digest] for digest in chosen if i or chosen[digest] != CONTROL}
        candidates = rest if i == 0 else pool
        chosen |= {p.digest: rule for p in select(candidates, known, rule=rule, n=size, seed=seed)}
    return chosen


def as_study(rows: Mapping[str, Mapping[str, str]], chosen: Mapping[str, str]) -> list[TrainedCandidate]:
    """Return what a report would be made of."""
    numbers = ("val_loss", "val_error", "test_loss", "test_error", "val_error_sd", "test_error_sd")
    return [
        TrainedCandidate(
            digest=digest,
            architecture=row["architecture"],
            params=round(10 ** float(row["log10_params"])),
            flops=round(10 ** float(row["log10_flops"])),
            candidate=0,
            chosen_by=by,
            n_seeds=int(row["n_seeds"]),
            number=i,
            log10_sensitivity_before=float(row["log10_sensitivity"]),
            **{key: float(row[key]) for key in numbers},
        )
        for i, (digest, by) in enumerate(chosen.items())
        for row in (rows[digest],)
    ]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return of each pair of sizes how often each light has each colour."""
    table, rows = the_table()
    by_digest = {candidate.digest: row for candidate, row in zip(table.candidates, rows, strict=True)}
    candidates: list[ScoredCandidate] = []
    protocol = {"select": {"target": TARGET, "final": TARGET}}
    found = []
    for n_selected, n_control in SIZES[: 1 if arguments.quick else None]:
        colours = [Counter[str]() for _ in KEYS]
        first = [0] * len(KEYS)
        for i in range(arguments.repeats):
            chosen = searched(table, arguments.rule, n_selected, n_control, arguments.seed + i)
            lights = answer("quickstart", protocol, candidates, as_study(by_digest, chosen)).lights
            for k, light in enumerate(lights):
                colours[k][light.colour] += 1
                first[k] += i < 10 and light.colour != "grey"
        decided = [1 - counts["grey"] / arguments.repeats for counts in colours]
        row = {"selected": n_selected, "control": n_control, "repeats": arguments.repeats}
        row |= {
            key: {"decided": round(share, 3), "of the first 10 seeds": n, "colours": dict(sorted(counts.items()))}
            for key, share, n, counts in zip(KEYS, decided, first, colours, strict=True)
        }
        print(json.dumps(row), flush=True)
        found.append(row)
    return {"rule": arguments.rule, "pool": int(table.is_alive.sum()), "searches": found}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--repeats", type=int, default=100, help="seeds of each pair of sizes")
    parser.add_argument("--rule", default="calibrated", help="the study's rule, or another")
    harness.run(parser, measure, quick={"repeats": 2})
