"""Table I of forouzesh2020 redone small: which of S and J, before and after the softmax, goes with the test loss.

    python benchmarks/table1.py --data npz:cifar10.npz            # some 25 minutes on one core; run again it goes on
    python benchmarks/table1.py --summary                         # only the summary of the rows that are there
    python benchmarks/table1.py --data npz:cifar10.npz --device cuda --processes 6  # near the paper's regime, on a GPU

The networks are VGG13, VGG16, ResNet18 and ResNet34 with batch norm and channels scaled down, as in the paper, from
Xavier-uniform weights; narrow ones, on images of 16 × 16 pixels (means of 2 × 2), so that they train on one core.
ResNet34 has four blocks in each of its four stages (34 layers, too) where the original has 3, 4, 6, 3. All are trained
with Adam, rate 1e-3, in batches of 64, on 1,000 images for ``EPOCHS`` epochs at most. Measures and loss are those of
the trained networks, on test images. One row of the CSV is one training; the coordinates of a network in the summary
are means over its trainings, of the values or of their logarithms.

On a GPU the images keep their 32 × 32 pixels, there are 45,000 of them or as many as ``--images`` says, batches are of
256 and in bfloat16, and channels are 1/16 to all of the paper's. Several trainings share the GPU, so no measure is
timed.
"""

from __future__ import annotations

import argparse
import functools
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
from nas_sens.statistics.given_several import given_several

# Pearson's correlation with the test loss, and seconds: table I of the paper.
PUBLISHED = {
    "J after softmax": (0.116, 1.166),
    "J before softmax": (0.414, 1.165),
    "S after softmax": (0.381, 0.086),
    "S before softmax": (0.648, 0.085),
}
SCALES = (1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4)
N_TIMED = 3
TRAIN = ns.TrainSpec(epochs=30, learning_rate=1e-3, batch_size=64, seeds=2, stop_loss=1e-5, stop_epochs=10)
ON_A_GPU = {"scales": (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0), "epochs": 25, "images": 45_000, "side": 32, "batch_size": 256}
FITTED = 0.05  # largest training error of what counts as fitted; the paper's networks have a training loss near 0
OUTCOMES = ("train_loss", "train_error", "test_loss", "test_error")
COLUMNS = ["network", "scale", "seed", "status", "params", "epochs", *OUTCOMES, "training_seconds"]
COLUMNS += [*PUBLISHED, *(f"{name}, seconds" for name in PUBLISHED)]


def networks(scales: Sequence[float], side: int) -> dict[tuple[str, float], ns.ArchitectureSpec]:
    """Return the networks by their name and the factor on their channels."""
    found: dict[tuple[str, float], ns.ArchitectureSpec] = {}
    n_pools = 5 if side >= 32 else 4  # each halves the image
    for scale in scales:
        for n in (13, 16):
            hidden = max(1, round(512 * scale))
            found[f"VGG{n}", scale] = ns.VGGSpec(
                configuration=n, width_factor=scale, hidden_units=hidden, max_pools=n_pools, batch_norm=True,
                init="xavier_uniform",
            )  # fmt: skip
        for name, blocks in (("ResNet18", 2), ("ResNet34", 4)):
            found[name, scale] = ns.ResNetSpec(
                stages=4, blocks=blocks, width=round(64 * scale), bias=False, batch_norm=True, init="xavier_uniform"
            )
    return found


def load(name: str, n: int, side: int) -> ns.Splits:
    """Return ``n`` training, at most half as many validation and all test images, of ``side`` pixels a side."""
    splits = ns.load_data(ns.DataSpec(name=name, train_samples=n, val_samples=min(n // 2, 2000)))
    if splits.input_shape[-1] == side:
        return splits
    parts = ("x_train", "x_val", "x_test")
    return replace(splits, **{part: F.adaptive_avg_pool2d(getattr(splits, part)[:], side) for part in parts})


@functools.cache
def loaded(name: str, n: int, side: int, device: torch.device) -> ns.Splits:
    """Return the data on the device, which a process needs once."""
    return load(name, n, side).to(device)


def row_of(key: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what one training came to, and values and times of the four measures of the trained network."""
    seed, is_alone = key["seed"], arguments.processes == 1
    if not is_alone:
        torch.set_num_threads(1)
    spec = networks(arguments.scales, arguments.side)[key["network"], key["scale"]]
    splits = loaded(arguments.data, arguments.images, arguments.side, arguments.device)
    outcome = ns.train(spec, splits, train_spec(arguments), seed=seed)
    model = spec.build(splits.input_shape, splits.n_outputs).to(arguments.device)
    params = sum(p.numel() for p in model.parameters())
    row: dict[str, Any] = {**key, "scale": round(key["scale"], 4), "status": outcome.status, "params": params}
    row["epochs"] = len(outcome.curve)
    if outcome.state:
        model.load_state_dict(outcome.state)
        row |= {f: getattr(outcome, f) for f in OUTCOMES}
        row |= {"training_seconds": outcome.seconds}
        row |= measured(model.eval(), splits.x_test, seed, arguments.measured, are_timed=is_alone)
    return row


def measured(model: nn.Module, x: torch.Tensor, seed: int, n: int, *, are_timed: bool) -> dict[str, float]:
    """Return the measures: S on all inputs, J on the first ``n``; timed, if they are, on these, in turns."""
    few = x[:n]

    def s(inputs: torch.Tensor, after_softmax: bool) -> float:
        noise = make_generator("table 1", seed, device=x.device)
        return ns.output_sensitivity(model, inputs, generator=noise, after_softmax=after_softmax)

    timed: dict[str, Callable[[], float]] = {
        "J after softmax": lambda: jacobian_norm(model, few),
        "J before softmax": lambda: jacobian_norm(model, few, after_softmax=False),
        "S after softmax": lambda: s(few, True),
        "S before softmax": lambda: s(few, False),
    }
    values = {name: function() for name, function in timed.items()}  # warms up, too
    values |= {"S after softmax": s(x, True), "S before softmax": s(x, False)}
    if not are_timed:
        return values
    seconds = in_turns(timed, N_TIMED)
    return values | {f"{name}, seconds": statistics.median(times) for name, times in seconds.items()}


def train_spec(arguments: argparse.Namespace) -> ns.TrainSpec:
    """Return how networks are trained; in bfloat16 where there is a GPU for it."""
    precision = "bfloat16" if arguments.device.type == "cuda" else "float32"
    sizes = {"epochs": arguments.epochs, "seeds": arguments.seeds, "batch_size": arguments.batch_size}
    return replace(TRAIN, precision=precision, **sizes)


def summary(rows: list[dict[str, str]], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return correlations with the test loss over networks, and the times if there are any, beside the paper's."""
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["status"] == "ok":
            groups.setdefault((row["network"], row["scale"]), []).append(row)

    def means(column: str, of: Callable[[float], float]) -> list[float]:
        return [statistics.fmean(of(float(row[column])) for row in group) for group in groups.values()]

    names, params = [key[0] for key in groups], means("params", math.log10)
    is_resnet = [float(name.startswith("ResNet")) for name in names]
    fitted = [i for i, error in enumerate(means("train_error", float)) if error < FITTED]
    losses = means("test_loss", math.log10)
    table = {}
    for name, (rho, seconds) in PUBLISHED.items():
        plain, values = correlations(means(name, float), means("test_loss", float)), means(name, math.log10)
        logs = correlations(values, losses)
        by_network = {}
        for network in dict.fromkeys(names):
            own = [i for i, key in enumerate(groups) if key[0] == network]
            found = correlations([values[i] for i in own], [losses[i] for i in own]).pearson
            by_network[network] = None if found is None else round(found.estimate, 3)
        of_fitted = correlations([values[i] for i in fitted], [losses[i] for i in fitted])
        table[name] = {
            "pearson": interval(plain.pearson),
            "pearson_of_logs": interval(logs.pearson),
            "spearman": interval(logs.spearman),
            "spearman_with_test_error": interval(correlations(values, means("test_error", float)).spearman),
            "spearman_given_family": interval(given_several(values, losses, [is_resnet]).spearman),
            "spearman_given_family_and_size": interval(given_several(values, losses, [is_resnet, params]).spearman),
            "pearson_of_logs_within": by_network,
            "pearson_of_logs_fitted": interval(of_fitted.pearson),
            "n_fitted": len(fitted),
            "pearson_published": rho,
        }
        times = [float(t) for group in groups.values() for row in group if (t := row[f"{name}, seconds"])]
        if times:
            table[name]["seconds_mean"] = round(statistics.fmean(times), 4)
            table[name]["seconds_sd"] = round(statistics.stdev(times), 4)
            table[name]["seconds_published"] = seconds
    kept = [row for group in groups.values() for row in group]
    protocol = f"{arguments.images} images of {arguments.side} pixels, at most {arguments.epochs} epochs, "
    found_at_all = {
        "protocol": f"{protocol}batches of {arguments.batch_size}, {train_spec(arguments).precision}",
        "n_networks": len(groups),
        "n_trainings": len(kept),
        "test_error": [min(float(r["test_error"]) for r in kept), max(float(r["test_error"]) for r in kept)],
        "train_loss": [min(float(r["train_loss"]) for r in kept), max(float(r["train_loss"]) for r in kept)],
        "training_seconds": round(sum(float(r["training_seconds"]) for r in kept), 1),
        "images_measured": arguments.measured,
        "family_and_loss": interval(correlations(is_resnet, losses).pearson),
        "table": table,
    }
    if all("seconds_mean" in entry for entry in table.values()):
        ratio = table["J before softmax"]["seconds_mean"] / table["S before softmax"]["seconds_mean"]
        found_at_all |= {
            "seconds_of_J_over_S": round(ratio, 1),
            "seconds_of_J_over_S_published": round(1.165 / 0.085, 1),
        }
    return found_at_all


def interval(value: Any) -> list[float] | None:
    return None if value is None else [round(v, 3) for v in (value.estimate, value.low, value.high)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the summary of all trainings in the table beside the result, after those that it lacks."""
    path = arguments.output.with_suffix(".csv")
    if not arguments.summary:
        done = {(row["network"], row["scale"], row["seed"]) for row in read_rows(path)}
        seeds = range(arguments.seed * arguments.seeds, (arguments.seed + 1) * arguments.seeds)
        keys = [
            {"network": n, "scale": s, "seed": seed}
            for seed in seeds
            for n, s in networks(arguments.scales, arguments.side)
        ]
        # The largest first, so that no process is left alone with one at the end.
        keys.sort(key=lambda key: (key["seed"], -key["scale"] if arguments.processes > 1 else 0))
        missing = [k for k in keys if (k["network"], str(round(k["scale"], 4)), str(k["seed"])) not in done]
        for row in harness.as_they_end(row_of, [(key, arguments) for key in missing], processes=arguments.processes):
            append_row(path, row, COLUMNS)
            print(json.dumps(row), flush=True)
    rows = read_rows(path)
    if not rows:
        raise InvalidInputError(f"there is no training in {path} yet")
    found = summary(rows, arguments)
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return found


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", default="cifar10", help="cifar10 of torchvision, or npz:PATH")
    parser.add_argument("--device", type=torch.device, default=harness.CPU)
    parser.add_argument("--processes", type=int, default=1, help="trainings at once")
    parser.add_argument("--images", type=int, help="of the training set")
    parser.add_argument("--summary", action="store_true", help="train nothing")
    on_a_cpu = {"scales": SCALES, "epochs": TRAIN.epochs, "images": 1000, "side": 16, "batch_size": TRAIN.batch_size}
    parser.set_defaults(seeds=TRAIN.seeds, measured=256)
    is_on_a_gpu = parser.parse_known_args()[0].device.type == "cuda"
    parser.set_defaults(**(ON_A_GPU if is_on_a_gpu else on_a_cpu))
    small = {"data": "mnist5k", "scales": SCALES[:1], "epochs": 1, "seeds": 1, "images": 100, "measured": 16}
    harness.run(parser, measure, quick=small, threads=1)
