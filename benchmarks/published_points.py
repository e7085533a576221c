"""The published points of forouzesh2020: S after training and test loss of FC 4×200 and 4×300 on 1,000 CIFAR-10 images.

    python benchmarks/published_points.py --data npz:cifar10.npz

The study is studies/forouzesh2020/published_points.toml; ``--data`` replaces its data set (torchvision's CIFAR-10).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

import nas_sens as ns
from nas_sens.cli.display import TerminalProgress

# forouzesh2020, 4 hidden layers, standard normal: width -> (S after training, test loss), means of 10 runs.
PUBLISHED = {200: (1.27e8, 35_511.0), 300: (6.08e8, 92_611.0)}
RESULT = Path(__file__).parent / "results" / "published_points.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="data set in place of torchvision's cifar10, such as npz:PATH")
    parser.add_argument("--seeds", type=int, help="trainings per network")
    arguments = parser.parse_args()
    study = ns.load_study("forouzesh2020/published_points")
    if arguments.data:
        study = replace(study, data=replace(study.data, name=arguments.data))
    if arguments.seeds:
        study = replace(study, train=replace(study.train, seeds=arguments.seeds))
    with tempfile.TemporaryDirectory() as folder:
        result = ns.search(study, storage=f"sqlite:///{folder}/study.db", progress=TerminalProgress())
    rows = []
    for trial in sorted(result.trials, key=lambda t: t.params):
        width = json.loads(trial.architecture)["width"]
        sensitivity, loss = PUBLISHED[width]
        measured = 10**trial.log10_sensitivity_after if trial.log10_sensitivity_after is not None else math.nan
        rows.append(
            {
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
        )
        print(json.dumps(rows[-1]))
    environment = {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}
    protocol = {k: result.protocol[k] for k in ("score", "train")}
    protocol["data"] = {**result.protocol["data"], "name": result.protocol["data"]["name"].partition(":")[0]}
    RESULT.write_text(json.dumps({"environment": environment, "protocol": protocol, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
