"""The best networks of an hour's search on CIFAR-10 and ResNet-20, trained alike and for longer, on a GPU.

    python benchmarks/cifar10_finals.py --data npz:cifar10.npz --searched results/cifar10_hour.json --device cuda

The search is `cifar10_hour.py`'s. Its best networks and ResNet-20 of section 4.2 of arXiv:1512.03385, which none of
them exceeds in FLOPs, are trained from fresh weights with the same seeds, images, epochs and settings. A row of the
CSV beside the result is one training; run again, it goes on.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
from pathlib import Path
from typing import Any

import harness
import torch
from csv_rows import append_row, read_rows
from scipy import stats

import nas_sens as ns
from nas_sens.architectures import load_spec

BY_HAND = ns.ResNetSpec(stages=3, blocks=3, width=16, batch_norm=True, bias=False, init="he_normal")
FIGURES = ("train_error", "val_error", "test_error", "test_loss")


def train_spec(arguments: argparse.Namespace) -> ns.TrainSpec:
    """Return the training of all of them."""
    return ns.TrainSpec(
        epochs=arguments.epochs, seeds=arguments.seeds, batch_size=128, optimizer="sgd", learning_rate=0.05,
        momentum=0.9, nesterov=True, weight_decay=5e-4, schedule="cosine", warmup_epochs=1,
        augmentation=("flip", "translation"), precision="bfloat16" if arguments.device.type == "cuda" else "float32",
    )  # fmt: skip


@functools.cache
def loaded(name: str, val_samples: int, device: torch.device) -> ns.Splits:
    """Return the data on the device, which a process needs once."""
    return ns.load_data(ns.DataSpec(name=name, standardize=True, val_samples=val_samples)).to(device)


def row_of(name: str, architecture: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what one training came to."""
    torch.set_num_threads(1)
    splits = loaded(arguments.data, arguments.val_samples, arguments.device)
    spec = load_spec(json.loads(architecture))
    outcome = ns.train(spec, splits, train_spec(arguments), seed=seed)
    row = {"network": name, "seed": seed, "images": len(splits.y_train), "status": outcome.status}
    row |= {"epochs": len(outcome.curve), "seconds": outcome.seconds}
    return row | {figure: getattr(outcome, figure) for figure in FIGURES}


def summary(rows: list[dict[str, str]], networks: dict[str, str]) -> dict[str, Any]:
    """Return mean and standard error of each network's figures, and how much better each is than ResNet-20."""
    errors = {n: [float(r["test_error"]) for r in rows if r["network"] == n and r["status"] == "ok"] for n in networks}
    found: dict[str, Any] = {}
    for name, values in errors.items():
        entry: dict[str, Any] = {"architecture": networks[name], "test_errors": values}
        if len(values) > 1:
            entry["test_error_mean"] = round(statistics.fmean(values), 5)
            entry["standard_error"] = round(statistics.stdev(values) / math.sqrt(len(values)), 5)
        if name != "ResNet-20" and len(values) > 1 and len(errors["ResNet-20"]) > 1:
            interval = stats.ttest_ind(errors["ResNet-20"], values, equal_var=False).confidence_interval()
            better = statistics.fmean(errors["ResNet-20"]) - statistics.fmean(values)
            entry["better_than_resnet20"] = [round(float(v), 5) for v in (better, interval.low, interval.high)]
        found[name] = entry
    return found


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all trainings, after those that the table beside the result lacks."""
    path = arguments.output.with_suffix(".csv")
    searched = json.loads(arguments.searched.read_text())["searched"] if arguments.searched else []
    networks = {"ResNet-20": BY_HAND.to_json()}
    networks |= {f"searched, rank {i}": row["architecture"] for i, row in enumerate(searched[: arguments.ranks], 1)}
    done = {(row["network"], row["seed"]) for row in read_rows(path)}
    jobs = [
        (n, a, s, arguments) for s in range(arguments.seeds) for n, a in networks.items() if (n, str(s)) not in done
    ]
    for row in harness.as_they_end(row_of, jobs, processes=arguments.processes):
        append_row(path, row)
        print(json.dumps(row), flush=True)
    rows = read_rows(path)
    protocol = {"epochs": arguments.epochs, "images": int(rows[0]["images"]), "val_samples": arguments.val_samples}
    return {"protocol": protocol, "networks": summary(rows, networks)}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", default="cifar10", help="as in [data] name, paths absolute")
    parser.add_argument("--searched", type=Path, help="result of cifar10_hour.py; without it ResNet-20 alone")
    parser.add_argument("--device", type=torch.device, default=harness.CPU)
    for option, default in {"epochs": 20, "seeds": 3, "ranks": 2, "processes": 9, "val-samples": 2000}.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    small = {"data": "digits", "epochs": 1, "seeds": 2, "processes": 1, "val_samples": 50}
    harness.run(parser, measure, quick=small, threads=1)
