"""How good the best network is that a search finds, for as many trainings: ours, every single rule, and the rivals.

    python benchmarks/search_quality.py --nasbench201 CELLS.csv.gz --macro CELLS.csv.gz --transnas CELLS.csv.gz

The tables are those of quality_tables.py: networks that were trained once, so that a search costs nothing but its
choosing. Every repeat has a pool of its own: four fifths of a table, at most 300; of a whole space a search may leave
its pool. All rules see the same pools. ``calibrated`` is ours, in rounds of two; on whole spaces its pool grows by 16
before each round, as in a study. A name with a sign trains by one feature, the largest first for +; ``capacity`` by
the mean rank of what grows with capacity; ``tpe``, ``gp``, ``cmaes`` are Optuna's samplers on the choices,
``evolution`` is regularised evolution (population 10, sample 5), ``forest_encoding`` and ``gp_encoding`` are
scikit-learn's models on the choices with expected improvement (as in BANANAS). On a table that is a sample, what a
rival proposes is replaced by the nearest candidate that is there.

regret        best outcome found minus the best of the pool (of a whole space: of all), in standard deviations of the
              table;  percentile: share of candidates that are better, in percent; means over repeats, 95 % intervals
against       paired differences of percentiles from ours: ahead, equal or behind by the interval
ranking       Spearman, Kendall, nDCG (of the best tenth) of predictions on the rest, after so many random trainings
choosing      processor time of all choices of a search of 20 trainings, in seconds
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import harness
import numpy as np
import quality_rivals as rivals
import torch
from quality_tables import Table, World, tables
from scipy.stats import kendalltau, rankdata, spearmanr
from sklearn.metrics import ndcg_score

from nas_sens.core.identity import derive_seed
from nas_sens.selection import select
from nas_sens.selection.calibration import calibrate
from nas_sens.selection.places import place, scale_of
from nas_sens.statistics.interval import Interval

BUDGETS = (5, 10, 20, 40, 80)
MOST_IN_POOL = 300
GROW, EACH = 16, 2
SIGNED = ("log10_sensitivity", "log10_relative_sensitivity", "log10_params", "log10_flops", "naswot", "synflow")
SIGNED = (*SIGNED, "jacob_cov", "depth")


def worlds(table: Table, repeats: int, seed: int) -> list[World]:
    """Return the repeats."""
    n = min(MOST_IN_POOL, round(0.8 * len(table.losses)))
    seeds = [derive_seed("search quality", table.name, seed, i) for i in range(repeats)]
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
    return {**found, **{name: partial(rivals.run, name=name) for name in rivals.RIVALS}}


def paths_of(table: Table, name: str, repeats: int, seed: int, most: int) -> tuple[np.ndarray, float]:
    """Return the outcomes in order of training, shape (repeats, most), and processor seconds of a choice of 20."""
    torch.set_num_threads(1)
    rule = rules(table)[name]
    rows, seconds = [], []
    for world in worlds(table, repeats, seed):
        limit = min(most, len(world.alive))
        start = time.process_time()
        order = rule(world, limit)
        seconds.append((time.process_time() - start) * min(1.0, 20 / limit))
        rows.append(table.losses[order])
    return np.array(rows), float(np.median(seconds))


def standing(table: Table, paths: np.ndarray, repeats: int, seed: int, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Return regret and percentile of every repeat after so many trainings, shapes (repeats,)."""
    regret, percentile = [], []
    for world, path in zip(worlds(table, repeats, seed), paths, strict=True):
        there = np.sort(table.losses[world.reach])
        best = path[:budget].min()
        regret.append((best - there[0]) / table.losses.std())
        percentile.append(100 * np.searchsorted(there, best) / len(there))
    return np.array(regret), np.array(percentile)


def mean(values: np.ndarray) -> Interval:
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return Interval(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def ranking(table: Table, n: int, repeats: int, seed: int) -> dict[str, dict[str, float]]:
    """Return how well models rank the rest of a pool after ``n`` random trainings, means over repeats.

    ``calibrated`` is ours, ``forest`` and ``gp`` are scikit-learn's on all that ours sees.
    """
    rows: dict[str, list[tuple[float, ...]]] = {"calibrated": [], "forest": [], "gp": []}
    seen = rivals.features(table)
    for world in worlds(table, repeats, seed):
        pool, losses = [table.candidates[i] for i in world.pool], table.losses[world.pool]
        known = np.random.default_rng(world.seed).choice(len(pool), n, replace=False)
        rest = np.setdiff1d(np.arange(len(pool)), known)
        fitted = calibrate(pool, {pool[i].digest: float(losses[i]) for i in known})
        means = {"calibrated": fitted.predict([pool[i] for i in rest]).mean}
        x, y = seen[world.pool], rankdata(losses[known])
        for kind in ("forest", "gp"):
            means[kind] = rivals.predicted(kind, x[known], (y - y.mean()) / y.std(), x[rest], seed=0)[0]
        truth = losses[rest]
        gains = (len(rest) - rankdata(truth)) / len(rest)
        for kind, mean_of in means.items():
            ndcg = ndcg_score([gains], [-mean_of], k=max(1, len(rest) // 10))
            rows[kind].append((spearmanr(mean_of, truth)[0], kendalltau(mean_of, truth)[0], ndcg))
    names = ("spearman", "kendall", "ndcg")
    return {k: dict(zip(names, np.nanmean(v, axis=0).round(4).tolist(), strict=True)) for k, v in rows.items()}


def result_of(
    table: Table, arguments: argparse.Namespace, executor: ProcessPoolExecutor
) -> tuple[dict[str, Any], dict[tuple[str, str], Interval]]:
    """Return what all rules find in a table, and by how many percentiles ours differs, by rule and budget."""
    waiting, against = {}, dict[tuple[str, str], Interval]()
    for name in rules(table):
        if arguments.rules and name not in arguments.rules.split(","):
            continue
        repeats = min(arguments.repeats, arguments.slow_repeats) if name in rivals.SLOW else arguments.repeats
        most = min(arguments.most, rivals.MOST_SLOW) if name in rivals.SLOW else arguments.most
        waiting[name] = repeats, executor.submit(paths_of, table, name, repeats, arguments.seed, most)
    paths = {name: (repeats, *future.result()) for name, (repeats, future) in waiting.items()}
    found: dict[str, Any] = {"n": len(table.losses), "is_whole": table.is_whole, "rules": {}}
    for name, (repeats, outcomes, seconds) in paths.items():
        row: dict[str, Any] = {"choosing": round(seconds, 4)}
        means: dict[str, float] = {}
        for budget in (b for b in BUDGETS if b <= outcomes.shape[1]):
            regret, percentile = standing(table, outcomes, repeats, arguments.seed, budget)
            row[str(budget)] = {"regret": _text(mean(regret)), "percentile": _text(mean(percentile))}
            means[str(budget)] = float(percentile.mean())
            if "calibrated" in paths:
                _, our = standing(table, paths["calibrated"][1], arguments.repeats, arguments.seed, budget)
                against[name, str(budget)] = mean(our[:repeats] - percentile)
                row[str(budget)]["against"] = _text(against[name, str(budget)])
        found["rules"][name] = row
        shown = " ".join(f"{b}: {v:.2f}" for b, v in means.items())
        print(f"{table.name:28} {name:28} {shown}   {seconds:.2f} s", flush=True)
    found["ranking"] = {str(n): ranking(table, n, min(20, arguments.repeats), arguments.seed) for n in (10, 20, 40)}
    return found, against


def summary(against: Mapping[str, Mapping[tuple[str, str], Interval]]) -> dict[str, Any]:
    """Return of how many tables ours is ahead (of a rule), equal, or behind, by budget."""
    found: dict[str, Any] = {}
    for budget in map(str, BUDGETS):
        counts: dict[str, list[int]] = {}
        hindsight: dict[str, float] = {}
        for table, rows in against.items():
            of_budget = {name: v for (name, b), v in rows.items() if b == budget and name != "calibrated"}
            for name, difference in of_budget.items():
                way = 0 if difference.high < 0 else 2 if difference.low > 0 else 1
                counts.setdefault(name, [0, 0, 0])[way] += 1
            if single := [v.estimate for name, v in of_budget.items() if name[0] in "+-"]:
                hindsight[table] = round(max(single), 3)
        if counts:
            shown = {name: "{} ahead, {} equal, {} behind".format(*c) for name, c in sorted(counts.items())}
            found[budget] = {"ours": shown, "percentiles_behind_best_single_rule_in_hindsight": hindsight}
    return found


def _text(interval: Interval) -> str:
    return f"{interval.estimate:.4g} ({interval.low:.4g} to {interval.high:.4g})"


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what all rules find in all tables."""
    chosen = tables(arguments.nasbench201, arguments.macro, arguments.transnas)
    chosen = [t for t in chosen if not arguments.tables or t.name in arguments.tables.split(",")]
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as executor:
        found = {table.name: result_of(table, arguments, executor) for table in chosen}
    results = {name: result for name, (result, _) in found.items()}
    protocol = {
        "repeats": arguments.repeats,
        "slow_repeats": arguments.slow_repeats,
        "most_in_pool": MOST_IN_POOL,
        "grow": GROW,
        "round": EACH,
    }
    return {"protocol": protocol, "summary": summary({k: v for k, (_, v) in found.items()}), "tables": results}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    for benchmark in ("nasbench201", "macro", "transnas"):
        parser.add_file(benchmark, f"outcomes of {benchmark}", is_needed=False)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--slow-repeats", type=int, default=12, help=f"of {', '.join(rivals.SLOW)}")
    parser.add_argument("--most", type=int, default=40, help="trainings of a search")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--rules", help="names of rules, with commas; all if left out")
    parser.add_argument("--tables", help="names of tables, with commas; all if left out")
    quick = {"repeats": 2, "slow_repeats": 2, "most": 5, "jobs": 1, "tables": "quickstart"}
    harness.run(parser, measure, quick=quick, threads=1)
