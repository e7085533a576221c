"""What nas_sens.optuna costs in a study of a thousand trials, and what TPE makes of trials pruned before any report.

    python benchmarks/optuna_cost.py

Costs are in milliseconds a call: of ``score`` (in memory and on SQLite, where each attribute is a transaction of its
own), of the pruner's decision when it has to learn anew and when it has not, and of the sampler's proposal. For TPE,
the share of its next 200 proposals that lie where trials were pruned before they reported, x > 0.5 of [0, 1], with the
best value at 0.2: where these trials are in the study as they are, left out, or COMPLETE with their true values.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import optuna
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import nn

import nas_sens.optuna


def build(trial: optuna.trial.BaseTrial) -> nn.Module:
    depth, width = trial.suggest_int("depth", 1, 6), trial.suggest_int("width", 8, 512, log=True)
    trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    layers = [m for i in range(depth) for m in (nn.Linear(64 if i == 0 else width, width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


SPACE = {"depth": IntDistribution(1, 6), "width": IntDistribution(8, 512, log=True)}
SPACE |= {"lr": FloatDistribution(1e-4, 1e-1, log=True)}


def finished(n: int, x: torch.Tensor) -> list[FrozenTrial]:
    """Return scored trials that were trained, with made-up values: their networks are real."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    for _ in range(n):
        trial = study.ask()
        nas_sens.optuna.score(trial, build(trial), x, seeds=1)
        value = np.log(trial.params["width"]) - abs(np.log(trial.params["lr"] / 3e-3)) - trial.params["depth"] / 3
        study.tell(trial, -float(value))
    return study.get_trials()


def milliseconds(call: Callable[[], Any], n: int) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)), 2)


def costs(trials: list[FrozenTrial], x: torch.Tensor, url: str, repeats: int) -> dict[str, float]:
    """Return the costs in a study with these trials."""
    pruner = nas_sens.optuna.SensitivityPruner()
    study = optuna.create_study(storage=url, pruner=pruner)
    study.add_trials(trials)
    found: dict[str, float] = {}
    asked = iter([study.ask(SPACE) for _ in range(2 * repeats + 2)])
    found["score"] = milliseconds(lambda: nas_sens.optuna.score(t := next(asked), build(t), x), repeats)
    scored = iter([t for t in study.get_trials(deepcopy=False) if t.state == TrialState.RUNNING and t.user_attrs])
    found["decision_that_learns"] = milliseconds(lambda: pruner.prune(study, next(scored)), 1)
    found["decision"] = milliseconds(lambda: pruner.prune(study, next(scored)), repeats - 1)
    sampler = nas_sens.optuna.SensitivitySampler(build, x, TPESampler(seed=0), seed=0)
    frozen = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.RUNNING][-1]
    space = sampler.infer_relative_search_space(study, frozen)
    found["proposal"] = milliseconds(lambda: sampler.sample_relative(study, frozen, space), 2)
    return found


def tpe_shares(n_trained: int, n_pruned: int, n_seeds: int) -> dict[str, float]:
    """Return the share of TPE's proposals where trials were pruned, by what the study says of these."""
    space, shares = {"x": FloatDistribution(0.0, 1.0)}, {}
    for name in ("pruned_before_any_report", "left_out", "complete"):
        found = []
        for seed in range(n_seeds):
            rng = np.random.default_rng(seed)
            good, bad = rng.uniform(0, 0.5, n_trained), rng.uniform(0.5, 1.0, n_pruned)
            study = optuna.create_study(sampler=TPESampler(seed=seed))
            for point in good:
                study.add_trial(create_trial(params={"x": point}, distributions=space, value=(point - 0.2) ** 2))
            for point in bad if name != "left_out" else ():
                is_pruned = name == "pruned_before_any_report"
                state = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
                value = None if is_pruned else (point - 0.2) ** 2
                study.add_trial(create_trial(params={"x": point}, distributions=space, state=state, value=value))
            trial = study.get_trials()[-1]
            proposals = [study.sampler.sample_independent(study, trial, "x", space["x"]) for _ in range(200 // n_seeds)]
            found.append(np.mean(np.array(proposals) > 0.5))
        shares[name] = round(float(np.mean(found)), 4)
    return shares


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return costs and shares."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    x = torch.rand(64, 64, generator=harness.generator("optuna cost", seed=arguments.seed))
    trials, found = finished(arguments.n, x), {}
    with tempfile.TemporaryDirectory() as folder:
        for name, url in (("memory", None), ("sqlite", f"sqlite:///{folder}/study.db")):
            found[name] = costs(trials, x, url, arguments.repeats)
            print(name, found[name], flush=True)
    shares = {
        f"{n_trained}_trained_{n_pruned}_pruned": tpe_shares(n_trained, n_pruned, arguments.repeats)
        for n_trained, n_pruned in itertools.product((20,), (20, 60))
    }
    return {"finished_trials": arguments.n, "milliseconds": found, "tpe_proposals_where_was_pruned": shares}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--n", type=int, default=1000, help="finished trials")
    parser.set_defaults(repeats=20)
    harness.run(parser, measure, quick={"n": 20, "repeats": 4}, threads=1)
