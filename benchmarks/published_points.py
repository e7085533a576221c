"""The published points of forouzesh2020: S after training and loss of FC 4×200, 300 and 500 on 1,000 CIFAR-10 images.

    python benchmarks/published_points.py --data npz:cifar10.npz

The study is studies/forouzesh2020/published_points.toml; ``--data`` replaces its data set (torchvision's CIFAR-10).
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from typing import Any

import harness

import nas_sens as ns

# forouzesh2020, 4 hidden layers, standard normal: width -> (S after training, test loss), means of 10 runs.
PUBLISHED = {200: (1.27e8, 35_511.0), 300: (6.08e8, 92_611.0), 500: (5.48e9, 317_060.0)}


def study_of(arguments: argparse.Namespace) -> ns.StudySpec:
    """Return the declared study with what the options replace."""
    study = ns.load_study("forouzesh2020/published_points")
    train = {key: value for key in ("seeds", "epochs") if (value := getattr(arguments, key)) is not None}
    data = {"name": arguments.data} if arguments.data else {}
    return replace(study, data=replace(study.data, **data), train=replace(study.train, **train))


def row_of(trial: ns.TrainedCandidate) -> dict[str, Any]:
    """Return what came out for one network, beside what was published."""
    width = json.loads(trial.architecture)["width"]
    sensitivity, loss = PUBLISHED[width]
    measured = 10**trial.log10_sensitivity_after if trial.log10_sensitivity_after is not None else math.nan
    return {
        "width": width,
        "n_seeds": trial.n_seeds,
        "epochs_at_most_run": len(trial.curve),
        "sensitivity_after": measured,
        "sensitivity_after_published": sensitivity,
        "sensitivity_ratio": measured / sensitivity,
        "test_loss": trial.test_loss,
        "test_loss_sd": trial.test_loss_sd,
        "test_loss_published": loss,
        "test_loss_ratio": (trial.test_loss or math.nan) / loss,
        "test_error": trial.test_error,
        "train_loss": trial.train_loss,
        "status": trial.status,
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a row for each network, and how they were trained."""
    result = harness.search(study_of(arguments), seed=arguments.seed)
    rows = [row_of(trial) for trial in sorted(result.trials, key=lambda t: t.params)]
    print(*map(json.dumps, rows), sep="\n")
    protocol = {k: result.protocol[k] for k in ("score", "train")}
    protocol["data"] = {**result.protocol["data"], "name": result.protocol["data"]["name"].partition(":")[0]}
    return {"protocol": protocol, "rows": rows}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", help="data set in place of torchvision's cifar10, such as npz:PATH")
    parser.add_argument("--seeds", type=int, help="trainings per network")
    parser.set_defaults(epochs=None)
    harness.run(parser, measure, quick={"data": "mnist5k", "seeds": 1, "epochs": 1})
