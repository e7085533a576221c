"""Table I of forouzesh2020 redone small: which of S and J, before and after the softmax, goes with the test loss.

    python benchmarks/table1.py --data npz:cifar10.npz            # some 25 minutes on one core; run again it goes on
    python benchmarks/table1.py --summary                         # only the summary of the rows that are there

The networks are VGG13, VGG16, ResNet18 and ResNet34 with batch norm and channels scaled down, as in the paper, from
Xavier-uniform weights; narrow ones, on images of 16 × 16 pixels (means of 2 × 2), so that they train on one core.
ResNet34 has four blocks in each of its four stages (34 layers, too) where the original has 3, 4, 6, 3. All are trained
with Adam, rate 1e-3, in batches of 64, on 1,000 images for ``EPOCHS`` epochs at most. Measures and loss are those of
the trained networks, on test images. One row of the CSV is one training; the coordinates of a network in the summary
are means over its trainings, of the values or of their logarithms.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import harness
import torch
from csv_rows import append_row, read_rows
from timing import in_turns
from torch import nn
from torch.nn import functional as F

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import make_generator
from nas_sens.metrics.jacobian_norm import jacobian_norm
from nas_sens.statistics.correlations import correlations

# Pearson's correlation with the test loss, and seconds: table I of the paper.
PUBLISHED = {
    "J after softmax": (0.116, 1.166),
    "J before softmax": (0.414, 1.165),
    "S after softmax": (0.381, 0.086),
    "S before softmax": (0.648, 0.085),
}
SCALES = (1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4)
SIDE, N_TIMED = 16, 3
TRAIN = ns.TrainSpec(epochs=30, learning_rate=1e-3, batch_size=64, seeds=2, stop_loss=1e-5, stop_epochs=10)
FITTED = 0.05  # largest training error of what counts as fitted; the paper's networks have a training loss near 0
OUTCOMES = ("train_loss", "train_error", "test_loss", "test_error")
COLUMNS = ["network", "scale", "seed", "status", "params", "epochs", *OUTCOMES, "training_seconds"]
COLUMNS += [*PUBLISHED, *(f"{name}, seconds" for name in PUBLISHED)]


def networks(scales: Sequence[float]) -> dict[tuple[str, float], ns.ArchitectureSpec]:
    """Return the networks by their name and the factor on their channels."""
    found: dict[tuple[str, float], ns.ArchitectureSpec] = {}
    for scale in scales:
        for n in (13, 16):
            hidden = max(1, round(512 * scale))
            found[f"VGG{n}", scale] = ns.VGGSpec(
                configuration=n, width_factor=scale, hidden_units=hidden, max_pools=4, batch_norm=True,
                init="xavier_uniform",
            )  # fmt: skip
        for name, blocks in (("ResNet18", 2), ("ResNet34", 4)):
            found[name, scale] = ns.ResNetSpec(
                stages=4, blocks=blocks, width=round(64 * scale), bias=False, batch_norm=True, init="xavier_uniform"
            )
    return found


def load(name: str, n: int) -> ns.Splits:
    """Return ``n`` training, half as many validation and all test images, of ``SIDE`` pixels a side."""
    splits = ns.load_data(ns.DataSpec(name=name, train_samples=n, val_samples=n // 2))
    smaller = {part: F.adaptive_avg_pool2d(getattr(splits, part), SIDE) for part in ("x_train", "x_val", "x_test")}
    return replace(splits, **smaller)


def row_of(
    spec: ns.ArchitectureSpec, splits: ns.Splits, train: ns.TrainSpec, seed: int, n_measured: int
) -> dict[str, Any]:
    """Return what one training came to, and values and times of the four measures of the trained network."""
    outcome = ns.train(spec, splits, train, seed=seed)
    model = spec.build(splits.input_shape, splits.n_outputs)
    params = sum(p.numel() for p in model.parameters())
    row: dict[str, Any] = {"status": outcome.status, "params": params, "epochs": len(outcome.curve)}
    if outcome.state:
        model.load_state_dict(outcome.state)
        row |= {f: getattr(outcome, f) for f in OUTCOMES}
        row |= {"training_seconds": outcome.seconds} | measured(model, splits.x_test, seed, n_measured)
    return row


def measured(model: nn.Module, x: torch.Tensor, seed: int, n: int) -> dict[str, float]:
    """Return the measures: S on all inputs, J on the first ``n``; both are timed on these, in turns."""
    few = x[:n]

    def s(inputs: torch.Tensor, after_softmax: bool) -> float:
        noise = make_generator("table 1", seed)
        return ns.output_sensitivity(model, inputs, generator=noise, after_softmax=after_softmax)

    timed: dict[str, Callable[[], float]] = {
        "J after softmax": lambda: jacobian_norm(model, few),
        "J before softmax": lambda: jacobian_norm(model, few, after_softmax=False),
        "S after softmax": lambda: s(few, True),
        "S before softmax": lambda: s(few, False),
    }
    values = {name: function() for name, function in timed.items()}  # warms up, too
    values |= {"S after softmax": s(x, True), "S before softmax": s(x, False)}
    seconds = in_turns(timed, N_TIMED)
    return values | {f"{name}, seconds": statistics.median(times) for name, times in seconds.items()}


def summary(rows: list[dict[str, str]], epochs: int, n_measured: int) -> dict[str, Any]:
    """Return correlations with the test loss over networks, and the times, beside the paper's."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["status"] == "ok":
            groups.setdefault((row["network"], row["scale"]), []).append(row)

    def means(column: str, of: Callable[[float], float]) -> list[float]:
        return [statistics.fmean(of(float(row[column])) for row in group) for group in groups.values()]

    table = {}
    for name, (rho, seconds) in PUBLISHED.items():
        plain = correlations(means(name, float), means("test_loss", float))
        logs = correlations(means(name, math.log10), means("test_loss", math.log10))
        times = [float(row[f"{name}, seconds"]) for group in groups.values() for row in group]
        fitted = [i for i, error in enumerate(means("train_error", float)) if error < FITTED]
        log_pairs = [[means(column, math.log10)[i] for i in fitted] for column in (name, "test_loss")]
        by_network = {}
        for network in dict.fromkeys(key[0] for key in groups):
            own = [i for i, key in enumerate(groups) if key[0] == network]
            pairs = [[means(c, math.log10)[i] for i in own] for c in (name, "test_loss")]
            found = correlations(*pairs).pearson
            by_network[network] = None if found is None else round(found.estimate, 3)
        table[name] = {
            "pearson": interval(plain.pearson),
            "pearson_of_logs": interval(logs.pearson),
            "spearman": interval(logs.spearman),
            "pearson_of_logs_within": by_network,
            "pearson_of_logs_fitted": interval(correlations(*log_pairs).pearson),
            "n_fitted": len(fitted),
            "pearson_published": rho,
            "seconds_mean": round(statistics.fmean(times), 4),
            "seconds_sd": round(statistics.stdev(times), 4),
            "seconds_published": seconds,
        }
    kept = [row for group in groups.values() for row in group]
    times_of = {name: entry["seconds_mean"] for name, entry in table.items()}
    return {
        "protocol": " ".join((__doc__ or "").split("\n\n")[2].split()).replace("``EPOCHS``", str(epochs)),
        "n_networks": len(groups),
        "n_trainings": len(kept),
        "test_error": [min(float(r["test_error"]) for r in kept), max(float(r["test_error"]) for r in kept)],
        "train_loss": [min(float(r["train_loss"]) for r in kept), max(float(r["train_loss"]) for r in kept)],
        "training_seconds": round(sum(float(r["training_seconds"]) for r in kept), 1),
        "images_timed": n_measured,
        "table": table,
        "seconds_of_J_over_S": round(times_of["J before softmax"] / times_of["S before softmax"], 1),
        "seconds_of_J_over_S_published": round(1.165 / 0.085, 1),
    }


def interval(value: Any) -> list[float] | None:
    return None if value is None else [round(v, 3) for v in (value.estimate, value.low, value.high)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of all trainings in the table beside the result, after those that it lacks."""
    path = arguments.output.with_suffix(".csv")
    train = replace(TRAIN, epochs=arguments.epochs, seeds=arguments.seeds)
    if not arguments.summary:
        splits = load(arguments.data, arguments.images)
        done = {(row["network"], row["scale"], row["seed"]) for row in read_rows(path)}
        for seed in range(arguments.seed * train.seeds, (arguments.seed + 1) * train.seeds):
            for (name, scale), spec in networks(arguments.scales).items():
                key = {"network": name, "scale": round(scale, 4), "seed": seed}
                if tuple(map(str, key.values())) not in done:
                    row = {**key, **row_of(spec, splits, train, seed, arguments.measured)}
                    append_row(path, row, COLUMNS)
                    print(json.dumps(row), flush=True)
    rows = read_rows(path)
    if not rows:
        raise InvalidInputError(f"there is no training in {path} yet")
    found = summary(rows, train.epochs, arguments.measured)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return found


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", default="cifar10", help="cifar10 of torchvision, or npz:PATH")
    parser.add_argument("--summary", action="store_true", help="train nothing")
    parser.set_defaults(scales=SCALES, epochs=TRAIN.epochs, seeds=TRAIN.seeds, images=1000, measured=256)
    small = {"data": "mnist5k", "scales": SCALES[:1], "epochs": 1, "seeds": 1, "images": 100, "measured": 16}
    harness.run(parser, measure, quick=small, threads=1)
