"""What the calibrated rule would have found on NAS-Bench-201, and how well it ranks cells that it has not seen trained.

    python benchmarks/replay_nasbench201.py --data nasbench201.csv.gz [--scores FILE] [--repeats 200]

``--data`` has the columns ``arch`` and ``cifar10_test_accuracy_percent``; ``--scores`` is what nasbench201_scores.py
writes. Nothing of the rule is fitted to these cells beforehand. Two questions:

- ranking: after 10, 20 and 40 trainings, Spearman's correlation of predicted and true error over all other cells. The
  trained cells are drawn at random or fill the space, as the rule's first batch does. Dead cells, which ignore their
  input, are never trained, as in a study; they come last, or are left out ("live").
- regret: error of the best cell found minus that of the best in the pool (half of the live cells, drawn anew for every
  repeat), after 5, 10 and 20 trainings, in three rounds for the calibrated rule.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pandas as pd
from csv_rows import ACCURACY
from scipy import stats

from nas_sens.architectures.cell_paths import path_counts
from nas_sens.core.identity import derive_seed, digest
from nas_sens.selection import select
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.candidates import Candidate
from nas_sens.selection.replay import replay

NAMES = {"s_sn": "log10_sensitivity", "rel_he": "log10_relative_sensitivity"} | {
    k: f"log10_{k}" for k in ("params", "flops")
}
SENSITIVITIES = ["log10_sensitivity", "log10_relative_sensitivity", "rel_he_1", "rel_sn", "rel_bn", "s_he", "s_bn"]
SIZES = ["log10_params", "log10_flops"]
STRUCTURE = list(path_counts(("none",) * 6))
FEATURES = {
    "S and params": ["log10_sensitivity", "log10_params"],
    "S, relative S and size": ["log10_sensitivity", "log10_relative_sensitivity", *SIZES],
    "all sensitivities and size": [*SENSITIVITIES, *SIZES],
    "and NASWOT, SynFlow": [*SENSITIVITIES, *SIZES, "naswot", "synflow"],
    "and counts of live operations": [*SENSITIVITIES, *SIZES, "naswot", "synflow", *STRUCTURE],
}
REPLAYED = ("S, relative S and size", "and counts of live operations")
TRAININGS = (10, 20, 40)
RULES = ("calibrated", "random", "params", "lowest", "highest", "pareto", "+log10_sensitivity", "+log10_flops")
RULES += ("-log10_flops", "+naswot", "+synflow")


def read(data: Path, scores: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Return features and errors (fractions) of the cells that are in both files."""
    cells = pd.read_csv(scores).rename(columns=NAMES)
    cells = cells.merge(pd.read_csv(data)[["arch", ACCURACY]], on="arch", validate="1:1")
    return cells, 1 - cells.pop(ACCURACY).to_numpy(float) / 100


def candidates(cells: pd.DataFrame, features: Sequence[str]) -> list[Candidate]:
    values = cells[list(features)].to_numpy(float)
    return [
        Candidate(digest(arch), dict(zip(features, map(float, row), strict=True)), "cell")
        for arch, row in zip(cells["arch"], values, strict=True)
    ]


def ranking(
    pool: list[Candidate], errors: np.ndarray, dead: np.ndarray, *, n: int, design: str, repeats: int, seed: int
) -> dict[str, float]:
    """Return mean and standard deviation over repeats of the correlation on the cells that are not trained.

    Args:
        pool: Live cells.
        errors: Their errors.
        dead: Errors of the cells that are put behind all others.
        n: Number of trained cells.
        design: How these are drawn.
        repeats: How often.
        seed: Which repeats: every seed has others.
    """
    known = {c.digest: float(e) for c, e in zip(pool, errors, strict=True)}
    found = []
    for repeat in range(seed * repeats, (seed + 1) * repeats):
        if design == "random":
            rng = np.random.default_rng(derive_seed("ranking", n, repeat))
            trained = [pool[i].digest for i in rng.choice(len(pool), n, replace=False)]
        else:
            trained = [p.digest for p in select(pool, {}, rule="calibrated", n=n, seed=repeat)]
        rest = [c for c in pool if c.digest not in set(trained)]
        mean = calibrate(pool, {d: known[d] for d in trained}).predict(rest).mean
        truth = [known[c.digest] for c in rest]
        order = np.append(mean, np.full(len(dead), np.inf))
        found.append(float(stats.spearmanr(stats.rankdata(order), np.append(truth, dead))[0]))
    return {
        "spearman_mean": float(np.mean(found)),
        "spearman_median": float(np.median(found)),
        "spearman_sd": float(np.std(found, ddof=1)),
        "spearman_mean_stderr": float(np.std(found, ddof=1) / math.sqrt(repeats)),
        "repeats": repeats,
    }


def rankings(cells: pd.DataFrame, errors: np.ndarray, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rank correlation by features, cells, design and number of trainings."""
    is_live, rows = cells["is_dead"].to_numpy() == 0, []
    options = {"repeats": arguments.repeats, "seed": arguments.seed}
    for name, with_dead in itertools.product(arguments.features, (True, False)):
        pool = candidates(cells[is_live], FEATURES[name])
        dead = errors[~is_live] if with_dead else np.zeros(0)
        which = "all" if with_dead else "live"
        for design, n in itertools.product(("random", "space-filling"), arguments.trainings):
            found = ranking(pool, errors[is_live], dead, n=n, design=design, **options)
            rows.append({"features": name, "cells": which, "design": design, "trainings": n, **found})
            mean, stderr = found["spearman_mean"], found["spearman_mean_stderr"]
            print(f"{name:32} {which:5} {design:14} {n:3} {mean:.3f} ± {stderr:.3f}", flush=True)
    return rows


def replays(cells: pd.DataFrame, errors: np.ndarray, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return regret and rank by features, rule and number of trainings."""
    is_live, rows = cells["is_dead"].to_numpy() == 0, []
    options = {"repeats": arguments.repeats, "seed": arguments.seed}
    for name in arguments.replayed:
        live = candidates(cells[is_live], FEATURES[name])
        known = {c.digest: float(e) for c, e in zip(live, errors[is_live], strict=True)}
        rules = ("calibrated",) if name != REPLAYED[-1] else RULES  # others do not depend on the features of a set
        for result in replay(live, known, rules=rules, rounds=3, **options):
            rows.append({"features": name if result.rule == "calibrated" else None, **dataclasses.asdict(result)})
            regret = result.regret
            print(
                f"{name:32} {result.rule:20} {result.budget:3} regret {100 * regret.estimate:.2f} points "
                f"({100 * regret.low:.2f} … {100 * regret.high:.2f}), rank {result.rank.estimate:.1f}",
                flush=True,
            )
    return rows


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return rankings and replays."""
    cells, errors = read(arguments.data, arguments.scores)
    return {
        "n_cells": len(cells),
        "n_live": int((cells["is_dead"] == 0).sum()),
        "features": FEATURES,
        "ranking": rankings(cells, errors, arguments),
        "replay": replays(cells, errors, arguments),
    }


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_file("data", "CSV file of the cells' accuracies")
    parser.add_file("scores", "CSV file of scores", default=harness.RESULTS / "nasbench201_dev_scores.csv")
    parser.add_argument("--repeats", type=int, default=60, help="of each ranking and replay")
    parser.set_defaults(features=list(FEATURES), trainings=TRAININGS, replayed=REPLAYED)
    small = {"repeats": 2, "features": ["S and params"], "trainings": (10,), "replayed": REPLAYED[:1]}
    harness.run(parser, measure, quick=small)
