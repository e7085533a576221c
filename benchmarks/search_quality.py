"""How good the best network is that a search finds, for as many trainings: ours, every single rule, and the rivals.

    python benchmarks/search_quality.py --nasbench201 CELLS.csv.gz --macro CELLS.csv.gz --transnas CELLS.csv.gz

The tables are those of quality_tables.py: networks that were trained once, so that a search costs nothing but its
choosing. Every repeat has a pool of its own: four fifths of a table, at most 300; of a whole space a search may leave
its pool. All rules see the same pools. ``calibrated`` is ours, in rounds of two; on whole spaces its pool grows by 16
before each round, as in a study. A name with a sign trains by one feature, the largest first for +; ``capacity`` by
the mean rank of what grows with capacity; ``tpe``, ``gp``, ``cmaes`` are Optuna's samplers on the choices,
``evolution`` is regularised evolution (population 10, sample 5), ``forest_encoding`` and ``gp_encoding`` are
scikit-learn's models on the choices with expected improvement (as in BANANAS), ``botorch_encoding`` is BoTorch's
Gaussian process in their place, where it is installed. On a table that is a sample, what a rival proposes is
replaced by the nearest candidate that is there. Rules that end in ``_early`` spend the same epochs otherwise: see
quality_early.py.

regret        best outcome found minus the best of the pool (of a whole space: of all), in standard deviations of the
              table;  percentile: share of candidates that are better, in percent; means over repeats, 95 % intervals
against       paired differences of percentiles from ours: ahead, equal or behind by the interval
ranking       Spearman, Kendall, nDCG (of the best tenth) of predictions on the rest, after so many random trainings
choosing      processor time of all choices of a search of 20 trainings, in seconds

Regret, percentile and differences, with their intervals, are the curves in the CSV file beside the result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import harness
import numpy as np
import quality_early as early
import quality_rivals as rivals
import torch
from quality_curves import BUDGETS, Row, mean, summary, write_curves
from quality_tables import Table, World, tables
from scipy.stats import kendalltau, rankdata, spearmanr
from sklearn.metrics import ndcg_score

from nas_sens.core.identity import derive_seed
from nas_sens.selection import select
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.places import place, scale_of

MOST_IN_POOL = 300
GROW, EACH = 16, 2
SIGNED = (
    *("log10_sensitivity", "log10_relative_sensitivity", "log10_params", "log10_flops"),
    *("naswot", "synflow", "jacob_cov", "depth"),
)
_AT_ONCE = 5  # repeats of a job
_TABLES: dict[str, Table] = {}  # of a process

Paths = tuple[np.ndarray, float]


def worlds(table: Table, repeats: range, seed: int) -> list[World]:
    """Return the repeats of these numbers."""
    n = min(MOST_IN_POOL, round(0.8 * len(table.losses)))
    seeds = [derive_seed("search quality", table.name, seed, i) for i in repeats]
    pools = (np.random.default_rng(s).choice(len(table.losses), n, replace=False) for s in seeds)
    return [World(table, np.sort(pool), s) for pool, s in zip(pools, seeds, strict=True)]


def ours(world: World, most: int) -> list[int]:
    """Return what ``calibrated`` trains, in order."""
    table, number = world.table, {c.digest: i for i, c in enumerate(world.table.candidates)}
    rng = np.random.default_rng(world.seed)
    pool, trained = dict.fromkeys(world.alive), list[int]()
    while len(trained) < most:
        if trained and table.is_whole:
            grown = rivals.grown(table, trained, pool, rng, GROW)
            pool |= dict.fromkeys(i for i in grown if table.is_alive[i])
        known = {table.candidates[i].digest: float(table.losses[i]) for i in trained}
        n = min(EACH, most - len(trained))
        picks = select([table.candidates[i] for i in pool], known, rule="calibrated", n=n)
        trained += [number[p.digest] for p in picks]
    return trained


def by_feature(world: World, most: int, *, name: str, sign: float) -> list[int]:
    """Return the order of one feature; missing ones last, equals at random."""
    values = np.array([world.table.candidates[i].features.get(name, np.nan) for i in world.pool])
    keys = np.where(np.isnan(values), np.inf, -sign * values)
    chance = np.random.default_rng(world.seed).random(len(keys))
    return [int(i) for i in world.pool[np.lexsort((chance, keys))[:most]]]


def by_capacity(world: World, most: int) -> list[int]:
    """Return the order of the mean rank of what grows with capacity."""
    candidates = [world.table.candidates[i] for i in world.alive]
    places = place(candidates, scale_of(candidates))
    order = np.argsort(-places.capacity, kind="stable")[:most]
    return [world.alive[i] for i in order]


def rules(table: Table) -> dict[str, Callable[[World, int], list[int]]]:
    """Return the rules that a table can be searched by."""
    found: dict[str, Callable[[World, int], list[int]]] = {"calibrated": ours, "capacity": by_capacity}
    for name in SIGNED:
        if name in table.names:
            for mark, sign in (("+", 1.0), ("-", -1.0)):
                found[mark + name] = partial(by_feature, name=name, sign=sign)
    if table.early is not None:
        found |= early.RULES
    return {**found, **{name: partial(rivals.run, name=name) for name in rivals.installed()}}


def load(arguments: argparse.Namespace) -> None:
    """Read the tables, once a process."""
    torch.set_num_threads(1)
    found = tables(arguments.nasbench201, arguments.macro, arguments.transnas)
    names = arguments.tables.split(",") if arguments.tables else [t.name for t in found]
    _TABLES.update((t.name, t) for t in found if t.name in names)


def paths_of(table_name: str, name: str, repeats: range, seed: int, most: int) -> Paths:
    """Return the outcomes in order of training, shape (repeats, most), and processor seconds of a choice of 20."""
    table = _TABLES[table_name]
    rule = rules(table)[name]
    rows, seconds = [], []
    for world in worlds(table, repeats, seed):
        limit = min(most, len(world.alive))
        start = time.process_time()
        order = rule(world, limit)
        seconds.append((time.process_time() - start) * min(1.0, 20 / limit))
        rows.append(table.losses[order])
    return np.array(rows), float(np.median(seconds))


def standing(table: Table, paths: np.ndarray, seed: int, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Return regret and percentile of every repeat after so many trainings, shapes (repeats,)."""
    regret, percentile = [], []
    for world, path in zip(worlds(table, range(len(paths)), seed), paths, strict=True):
        there = np.sort(table.losses[world.reach])
        best = path[:budget].min()
        regret.append((best - there[0]) / table.losses.std())
        percentile.append(100 * np.searchsorted(there, best) / len(there))
    return np.array(regret), np.array(percentile)


def ranking(table_name: str, n: int, repeats: int, seed: int) -> dict[str, dict[str, float]]:
    """Return how well models rank the rest of a pool after ``n`` random trainings, means over repeats.

    ``calibrated`` is ours, ``forest`` and ``gp`` are scikit-learn's and ``botorch`` is BoTorch's on all that ours sees.
    """
    table = _TABLES[table_name]
    kinds = [name.removesuffix("_encoding") for name in rivals.installed() if name.endswith("_encoding")]
    rows: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in ("calibrated", *kinds)}
    seen = rivals.features(table)
    for world in worlds(table, range(repeats), seed):
        pool, losses = [table.candidates[i] for i in world.pool], table.losses[world.pool]
        known = np.random.default_rng(world.seed).choice(len(pool), n, replace=False)
        rest = np.setdiff1d(np.arange(len(pool)), known)
        fitted = calibrate(pool, {pool[i].digest: float(losses[i]) for i in known})
        means = {"calibrated": fitted.predict([pool[i] for i in rest]).mean}
        x, y = seen[world.pool], rankdata(losses[known])
        for kind in kinds:
            means[kind] = rivals.predicted(kind, x[known], (y - y.mean()) / y.std(), x[rest], seed=0)[0]
        truth = losses[rest]
        gains = (len(rest) - rankdata(truth)) / len(rest)
        for kind, mean_of in means.items():
            ndcg = ndcg_score([gains], [-mean_of], k=max(1, len(rest) // 10))
            rows[kind].append((spearmanr(mean_of, truth)[0], kendalltau(mean_of, truth)[0], ndcg))
    names = ("spearman", "kendall", "ndcg")
    return {k: dict(zip(names, np.nanmean(v, axis=0).round(4).tolist(), strict=True)) for k, v in rows.items()}


class Waiting:
    """The jobs of one table, which are begun before those of others are waited for."""

    def __init__(self, table: Table, arguments: argparse.Namespace, executor: ProcessPoolExecutor) -> None:
        self.table, self.seed = table, arguments.seed
        self.paths: dict[str, list[Future[Paths]]] = {}
        wanted = arguments.rules.split(",") if arguments.rules else rules(table)
        for name in (n for n in rules(table) if n in wanted):
            is_slow = name in rivals.SLOW
            repeats = min(arguments.repeats, arguments.slow_repeats) if is_slow else arguments.repeats
            most = min(arguments.most, rivals.MOST_SLOW) if is_slow else arguments.most
            self.paths[name] = [
                executor.submit(paths_of, table.name, name, range(i, min(i + _AT_ONCE, repeats)), self.seed, most)
                for i in range(0, repeats, _AT_ONCE)
            ]
        n_ranked = min(20, arguments.repeats)
        self.ranking = {n: executor.submit(ranking, table.name, n, n_ranked, self.seed) for n in (10, 20, 40)}

    def result(self) -> tuple[dict[str, Any], list[Row]]:
        """Return what is said of the table, and what all rules find in it at every budget."""
        table, rows = self.table, list[Row]()
        done = {name: [job.result() for job in jobs] for name, jobs in self.paths.items()}
        paths = {name: np.concatenate([outcomes for outcomes, _ in parts]) for name, parts in done.items()}
        seconds = {name: round(float(np.median([s for _, s in parts])), 4) for name, parts in done.items()}
        for name, outcomes in paths.items():
            of_rule: list[Row] = []
            for budget in (b for b in BUDGETS if b <= outcomes.shape[1]):
                regret, percentile = standing(table, outcomes, self.seed, budget)
                against = None
                if "calibrated" in paths:
                    our = standing(table, paths["calibrated"], self.seed, budget)[1]
                    against = mean(our[: len(outcomes)] - percentile)
                of_rule.append(Row(table.name, name, budget, mean(regret), mean(percentile), against))
            shown = " ".join(f"{row.budget}: {row.percentile.estimate:.2f}" for row in of_rule)
            print(f"{table.name:28} {name:28} {shown}   {seconds[name]:.2f} s", flush=True)
            rows += of_rule
        ranks = {str(n): job.result() for n, job in self.ranking.items()}
        return {"n": len(table.losses), "is_whole": table.is_whole, "choosing": seconds, "ranking": ranks}, rows


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what all rules find in all tables."""
    load(arguments)
    context = get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, context, initializer=load, initargs=(arguments,)) as executor:
        waiting = {name: Waiting(table, arguments, executor) for name, table in _TABLES.items()}
        results = {name: jobs.result() for name, jobs in waiting.items()}
    rows = [row for _, of_table in results.values() for row in of_table]
    write_curves(arguments.output.with_suffix(".csv"), rows)
    protocol = {
        "repeats": arguments.repeats,
        "slow_repeats": arguments.slow_repeats,
        "not_installed": sorted(rivals.RIVALS.keys() - rivals.installed()),
        "most_in_pool": MOST_IN_POOL,
        "grow": GROW,
        "round": EACH,
    }
    return {"protocol": protocol, "summary": summary(rows), "tables": {k: v for k, (v, _) in results.items()}}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    for benchmark in ("nasbench201", "macro", "transnas"):
        parser.add_file(benchmark, f"outcomes of {benchmark}", is_needed=False)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--slow-repeats", type=int, default=12, help=f"of {', '.join(rivals.SLOW)}")
    parser.add_argument("--most", type=int, default=80, help="trainings of a search")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--rules", help="names of rules, with commas; all if left out")
    parser.add_argument("--tables", help="names of tables, with commas; all if left out")
    quick = {"repeats": 2, "slow_repeats": 2, "most": 5, "jobs": 1, "tables": "quickstart"}
    harness.run(parser, measure, quick=quick, threads=1)
