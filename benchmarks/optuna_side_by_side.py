"""The same Optuna objective with and without sensitivity: best value against epochs spent.

    python benchmarks/optuna_side_by_side.py --fashion npz:fashion_mnist.npz

Three tasks (see optuna_tasks.py), four methods, the same objective: (a) TPE; (b) TPE with MedianPruner; (c) the same,
with SensitivityPruner before the first report; (d) SensitivitySampler with MedianPruner. Trainings are read from
tables of trainings that were done once; scores of untrained networks are measured as a user's would be. A network that
was trained to its end in a search costs nothing when the search comes to it again, for every method: a finite space
would otherwise be unkind to those that repeat themselves. A search ends after 20 trainings' epochs or 100 trials.

``regret`` is the mean over searches of how far the best completed training is from the best of the table, in standard
deviations of the table; ``epochs_for_the_same`` is after how many epochs the mean regret of a method is first that of
(b) at the end of a budget, as a share of the budget, with a bootstrap interval over searches; null where it is not
reached by the end of the searches, after as many epochs as the largest budget has.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import harness
import numpy as np
import optuna
import torch
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna_tasks import TASKS, Task, read_table

import nas_sens.optuna
from nas_sens.core.identity import digest

N_INPUTS = 64
BUDGETS = (5, 10, 20)  # in trainings to the end
HEADLINE = 10
MOST_TRIALS = 100
SHARES = np.linspace(0.02, 2.0, 100)
Method = Callable[[Task, torch.Tensor, int], tuple[BaseSampler, BasePruner]]

METHODS: Mapping[str, Method] = {
    "tpe": lambda task, x, seed: (TPESampler(seed=seed), NopPruner()),
    "tpe_median": lambda task, x, seed: (TPESampler(seed=seed), MedianPruner()),
    "pruner": lambda task, x, seed: (TPESampler(seed=seed), nas_sens.optuna.SensitivityPruner(seed=seed)),
    "sampler": lambda task, x, seed: (
        nas_sens.optuna.SensitivitySampler(task.build, x, TPESampler(seed=seed), seed=seed),
        MedianPruner(),
    ),
}


def search(
    task: Task, curves: Mapping[str, Sequence[float]], x: torch.Tensor, method: Method, seed: int, most: int
) -> list[tuple[int, float]]:
    """Return (epochs spent, best value so far, smaller is better) after each trial of one search."""
    sampler, pruner = method(task, x, seed)
    study = optuna.create_study(direction=task.direction, sampler=sampler, pruner=pruner)
    sign = -1.0 if task.direction == "maximize" else 1.0
    spent, best, finished = 0, np.inf, set()
    path: list[tuple[int, float]] = []

    def objective(trial: optuna.Trial) -> float:
        nonlocal spent
        network = task.build(trial)
        task.lr(trial)
        if isinstance(pruner, nas_sens.optuna.SensitivityPruner):
            nas_sens.optuna.score(trial, network, x)
            if trial.should_prune():
                raise optuna.TrialPruned
        key = digest(trial.params)
        for epoch, value in enumerate(curves[key], 1):
            spent += key not in finished
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        finished.add(key)
        return curves[key][-1]

    def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal best
        if trial.value is not None:
            best = min(best, sign * trial.value)
        path.append((spent, best))
        if spent >= most:
            study.stop()

    study.optimize(objective, n_trials=MOST_TRIALS, callbacks=[note])
    return path


def regrets(path: Sequence[tuple[int, float]], epochs: np.ndarray, best: float, sd: float) -> np.ndarray:
    """Return the regret of one search after so many epochs, in standard deviations; before the first value, of 3."""
    spent = np.array([e for e, _ in path])
    values = np.array([(v - best) / sd for _, v in path])
    at = np.searchsorted(spent, epochs, side="right") - 1
    return np.where(at < 0, 3.0, np.minimum(values[np.maximum(at, 0)], 3.0))


def share_for_the_same(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Return the first share of the budget at which the mean of ``ours`` is that of ``theirs`` at its end.

    Args:
        ours: Regrets, shape (searches, shares).
        theirs: Regrets at the end of the budget, shape (searches,).
    """
    reached = np.flatnonzero(ours.mean(axis=0) <= theirs.mean() + 1e-12)
    return float(SHARES[reached[0]]) if len(reached) else None


def summary(task: Task, table: Mapping[str, Sequence[float]], paths: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return what the searches of a task amount to."""
    sign = -1.0 if task.direction == "maximize" else 1.0
    ends = sign * np.array([curve[-1] for curve in table.values()])
    best, sd = float(ends.min()), float(ends.std())
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {"networks": len(table), "best": sign * best, "sd": sd, "epochs": task.epochs}
    for budget in BUDGETS:
        epochs = SHARES * budget * task.epochs
        curves = {m: np.array([regrets(p, epochs, best, sd) for p in paths[m]]) for m in paths}
        end = int(np.argmin(np.abs(SHARES - 1.0)))
        rows = {}
        for method, ours in curves.items():
            theirs = curves["tpe_median"][:, end]
            draws = rng.integers(0, len(ours), (1000, len(ours)))
            shares = [share_for_the_same(ours[d], theirs[d]) for d in draws]
            low, high = np.quantile([np.inf if s is None else s for s in shares], (0.025, 0.975), method="nearest")
            half = 1.96 * ours[:, end].std(ddof=1) / np.sqrt(len(ours))
            rows[method] = {
                "regret": float(ours[:, end].mean()),
                "regret_half_interval": float(half),
                "regret_at_half": float(ours[:, int(np.argmin(np.abs(SHARES - 0.5)))].mean()),
                "epochs_for_the_same": share_for_the_same(ours, theirs),
                "interval": [None if not np.isfinite(v) else float(v) for v in (low, high)],
            }
        found[f"budget_{budget}_trainings"] = rows
    return found


def paths_of(name: str, method: str, folder: Path, fashion: str, seeds: int) -> list[list[tuple[int, float]]]:
    """Return all searches of one task by one method; in a process of its own."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    task = next(t for t in TASKS if t.name == name)
    table, x = read_table(task, folder), task.data(fashion)[2][:N_INPUTS]
    return [search(task, table, x, METHODS[method], seed, max(BUDGETS) * task.epochs) for seed in range(seeds)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return regrets and savings of every method in every task."""
    folder, tasks = harness.RESULTS, TASKS
    if arguments.quick:
        tasks = tuple(t for t in TASKS if t.name == "table")
    with ProcessPoolExecutor(arguments.processes, multiprocessing.get_context("spawn")) as pool:
        jobs = {
            (task.name, method): pool.submit(paths_of, task.name, method, folder, arguments.fashion, arguments.seeds)
            for task in tasks
            for method in reversed(METHODS)  # the longest first
        }
        results = {}
        for task in tasks:
            paths = {method: jobs[task.name, method].result() for method in METHODS}
            results[task.name] = summary(task, read_table(task, folder), paths, arguments.seed)
            print(task.name, results[task.name], flush=True)
    return {"seeds": arguments.seeds, "headline_budget": HEADLINE, "tasks": results}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--fashion", default="fashion_mnist", help="data set in place of torchvision's")
    parser.add_argument("--seeds", type=int, default=10, help="searches of each method")
    parser.add_argument("--processes", type=int, default=2)
    harness.run(parser, measure, quick={"fashion": "mnist5k", "seeds": 2}, threads=1)
