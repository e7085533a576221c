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
import csv
import json
import math
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import nas_sens as ns
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
EPOCHS, SIDE, N_MEASURED, N_TIMED, SEEDS = 30, 16, 256, 3, 2
TRAIN = ns.TrainSpec(epochs=EPOCHS, learning_rate=1e-3, batch_size=64, seeds=SEEDS, stop_loss=1e-5, stop_epochs=10)
FITTED = 0.05  # largest training error of what counts as fitted; the paper's networks have a training loss near 0
RESULTS = Path(__file__).parent / "results"
ROWS, SUMMARY = RESULTS / "table1.csv", RESULTS / "table1.json"


def networks() -> dict[tuple[str, float], ns.ArchitectureSpec]:
    """Return the networks by their name and the factor on their channels."""
    found: dict[tuple[str, float], ns.ArchitectureSpec] = {}
    for scale in SCALES:
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


def load(name: str) -> ns.Splits:
    """Return 1,000 training, 500 validation and all test images, of ``SIDE`` pixels a side."""
    splits = ns.load_data(ns.DataSpec(name=name, train_samples=1000, val_samples=500))
    smaller = {part: F.adaptive_avg_pool2d(getattr(splits, part), SIDE) for part in ("x_train", "x_val", "x_test")}
    return replace(splits, **smaller)


def row_of(name: str, scale: float, spec: ns.ArchitectureSpec, splits: ns.Splits, seed: int) -> dict[str, Any]:
    """Return what one training came to, and values and times of the four measures of the trained network."""
    outcome = ns.train(spec, splits, TRAIN, seed=seed)
    row: dict[str, Any] = {"network": name, "scale": round(scale, 4), "seed": seed, "status": outcome.status}
    model = spec.build(splits.input_shape, splits.n_outputs)
    row |= {"params": sum(p.numel() for p in model.parameters()), "epochs": len(outcome.curve)}
    if outcome.state:
        model.load_state_dict(outcome.state)
        row |= {f: getattr(outcome, f) for f in ("train_loss", "train_error", "test_loss", "test_error")}
        row |= {"training_seconds": outcome.seconds} | measured(model, splits.x_test, seed)
    return row


def measured(model: nn.Module, x: torch.Tensor, seed: int) -> dict[str, float]:
    """Return the measures: S on all inputs, J on the first ``N_MEASURED``; both are timed on these, in turns."""
    few = x[:N_MEASURED]

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
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(N_TIMED):
        for name, function in timed.items():
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    return values | {f"{name}, seconds": statistics.median(times) for name, times in seconds.items()}


def read_rows() -> list[dict[str, str]]:
    if not ROWS.exists():
        return []
    with ROWS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append(row: dict[str, Any]) -> None:
    is_new = not ROWS.exists()
    names = [*PUBLISHED, *(f"{name}, seconds" for name in PUBLISHED)]
    outcome = ["train_loss", "train_error", "test_loss", "test_error", "training_seconds"]
    columns = ["network", "scale", "seed", "status", "params", "epochs", *outcome, *names]
    with ROWS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        if is_new:
            writer.writeheader()
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def summary(rows: list[dict[str, str]]) -> dict[str, Any]:
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
        "protocol": " ".join((__doc__ or "").split("\n\n")[2].split()).replace("``EPOCHS``", str(EPOCHS)),
        "n_networks": len(groups),
        "n_trainings": len(kept),
        "test_error": [min(float(r["test_error"]) for r in kept), max(float(r["test_error"]) for r in kept)],
        "train_loss": [min(float(r["train_loss"]) for r in kept), max(float(r["train_loss"]) for r in kept)],
        "training_seconds": round(sum(float(r["training_seconds"]) for r in kept), 1),
        "images_timed": N_MEASURED,
        "table": table,
        "seconds_of_J_over_S": round(times_of["J before softmax"] / times_of["S before softmax"], 1),
        "seconds_of_J_over_S_published": round(1.165 / 0.085, 1),
        "environment": {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
        },
    }


def interval(value: Any) -> list[float] | None:
    return None if value is None else [round(v, 3) for v in (value.estimate, value.low, value.high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="cifar10 of torchvision, or npz:PATH")
    parser.add_argument("--summary", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.summary:
        splits = load(arguments.data)
        done = {(row["network"], row["scale"], row["seed"]) for row in read_rows()}
        for seed in range(SEEDS):
            for (name, scale), spec in networks().items():
                if (name, str(round(scale, 4)), str(seed)) not in done:
                    row = row_of(name, scale, spec, splits, seed)
                    append(row)
                    print(json.dumps(row), flush=True)
    text = json.dumps(summary(read_rows()), indent=2, ensure_ascii=False)
    SUMMARY.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
