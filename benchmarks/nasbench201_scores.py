"""What untrained networks tell of the cells of NAS-Bench-201 (arXiv:2001.00326): features, and their rank correlation.

    python benchmarks/nasbench201_scores.py --cells CELLS.csv.gz --data cifar10.npz [--limit 400] [--jobs 2]

``--cells`` is a CSV with the columns ``arch`` (the benchmark's own string) and, if the correlations are wanted,
``cifar10_test_accuracy_percent``. ``--data`` is an npz file with CIFAR-10's ``x_test``, uint8 (n, 32, 32, 3); pixels
are taken raw, in [0, 1]. Networks are smaller than the benchmark's, by ``--channels``, ``--cells-per-stage`` and
``--side``. Cells that compute the same function are scored once. Run again, it goes on where its table ends, the CSV
file beside the result.

Columns, all logarithms to base 10, of values at noise 0.1 if not said otherwise (``_001``: 0.01, ``_1``: 1.0):

    s_P          sensitivity S (forouzesh2020, eq. 2), mean over networks
    rel_P        relative sensitivity E ‖f(x+ε) − f(x)‖² / Σ_k Var_x f_k(x), mean of logarithms over networks
    P            sn, he: probe with that initialisation, batch norms with initial statistics, in effect the identity;
                 bn: He, batch norms with the statistics of the batch of x and x + ε together
    naswot, synflow    as in nas_sens.metrics, of 64 images, mean over the first two networks; naswot is natural
    params, flops      of the benchmark's whole network (16 channels, 5 cells a stage, 32×32), edges to nowhere included
    n_*                number of edges with an operation;  live_* of those on a path from the input to the output
    depth_conv         most convolutions on a path;  n_paths: number of paths from input to output
    seconds            of CPU time, for this cell; 0 where an earlier one computes the same function
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from csv_rows import ACCURACY, accuracies, append_row, read_rows
from scipy.stats import spearmanr
from torch import nn

from nas_sens.architectures import count_flops, count_params
from nas_sens.architectures.cell import OPERATIONS, CellSpec
from nas_sens.architectures.cell_paths import path_counts
from nas_sens.architectures.initialization import initialize_
from nas_sens.metrics.naswot import naswot
from nas_sens.metrics.synflow import synflow

NOISES = {"": 0.1, "_001": 0.01, "_1": 1.0}
NETWORK_COLUMNS = ("s_", "rel_", "naswot", "synflow")
N_OUTPUTS = 10
N_NASWOT, N_COMPARED = 64, 2  # images, and networks, for the comparators


class Inputs:
    """Images, and for every network the same images with noise of every level; the same for all cells.

    Args:
        data: The npz file.
        n: Number of images.
        side: Height and width, to which images are averaged.
        n_networks: Number of networks.
        seed: Seed of images, noise and networks.
    """

    def __init__(self, data: Path, *, n: int, side: int, n_networks: int, seed: int) -> None:
        self.seed = seed
        images = torch.from_numpy(np.load(data)["x_test"])
        chosen = torch.randperm(len(images), generator=harness.generator("images", seed=seed))
        images = nn.functional.avg_pool2d(images[chosen].permute(0, 3, 1, 2) / 255, images.shape[1] // side)
        self.x = images[:n].contiguous(memory_format=torch.channels_last)
        self.many = images[:N_NASWOT].contiguous(memory_format=torch.channels_last)
        self.noisy = []
        for i in range(n_networks):
            noise = torch.randn(self.x.shape, generator=harness.generator("noise", i, seed=seed))
            self.noisy.append({level: self.x + std * noise for level, std in NOISES.items()})


@torch.inference_mode()
def sensitivities(model: nn.Module, x: torch.Tensor, noisy: dict[str, torch.Tensor]) -> dict[str, tuple[float, float]]:
    """Return S and the relative sensitivity of one network at every noise level; all inputs go through in one batch."""
    batch = torch.cat([x, *noisy.values()]).contiguous(memory_format=torch.channels_last)
    y = model(batch).double()
    if not y.isfinite().all():  # the outputs of deep networks exceed float32 where weights are N(0, 1)
        y = model.double()(batch.double())
        model.float()
    clean, *others = y.split(len(x))
    signal = float(clean.var(dim=0).sum())
    result = {}
    for level, part in zip(noisy, others, strict=True):
        difference = part - clean
        noise = float(difference.square().sum(dim=1).mean())
        result[level] = (float(difference.mean(dim=1).var()), noise / signal if signal > 0 else math.nan)
    return result


def log10(value: float) -> float:
    return math.log10(value) if value > 0 else (-math.inf if value == 0 else math.nan)


@torch.no_grad()
def network_features(spec: CellSpec, inputs: Inputs) -> dict[str, float]:
    """Return the features that depend on the untrained network's function."""
    model = spec.skeleton(tuple(inputs.x.shape[1:]), N_OUTPUTS).to_empty(device="cpu")
    model = model.to(memory_format=torch.channels_last)
    found: dict[str, list[tuple[float, float]]] = {}
    others: dict[str, list[float]] = {}
    for i, noisy in enumerate(inputs.noisy):
        for name, scheme in (("sn", "standard_normal"), ("he", "he_normal")):
            generator = harness.generator("network", spec.arch_string, name, i, seed=inputs.seed)
            initialize_(model, scheme, generator=generator)
            for level, values in sensitivities(model.eval(), inputs.x, noisy).items():
                found.setdefault(name + level, []).append(values)
        if i < N_COMPARED:
            others.setdefault("naswot", []).append(naswot(model, inputs.many))
            others.setdefault("synflow", []).append(synflow(model, inputs.many))
        model.train()  # last, because running statistics move: the next initialisation puts them back
        for level in ("", "_1"):
            values = sensitivities(model, inputs.x, {level: noisy[level]})[level]
            found.setdefault("bn" + level, []).append(values)
    result = {f"s_{name}": log10(float(np.mean([s for s, _ in values]))) for name, values in found.items()}
    result |= {f"rel_{name}": float(np.mean([log10(r) for _, r in values])) for name, values in found.items()}
    return result | {name: float(np.mean(values)) for name, values in others.items()}


def affine_in_convolutions(count: Callable[[CellSpec], int]) -> Callable[[int, int], int]:
    """Return ``count`` of the whole network as a function of the cell's numbers of 1×1 and 3×3 convolutions.

    Both parameters and operations are a constant and a summand for every convolution, and building is slow.
    """
    none, one, three = (
        count(CellSpec.from_string(f"|{op}~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"))
        for op in ("skip_connect", "nor_conv_1x1", "nor_conv_3x3")
    )
    return lambda n1, n3: none + n1 * (one - none) + n3 * (three - none)


def architecture_features(spec: CellSpec) -> dict[str, float]:
    """Return what can be counted on the cell itself."""
    counts = {f"n_{op}": spec.operations.count(op) for op in OPERATIONS}
    return {**counts, **path_counts(spec.operations), "is_dead": int(spec.is_dead)}


def correlations(rows: list[dict[str, str]], accuracy: Mapping[str, float]) -> dict[str, float]:
    """Return the Spearman correlation of every feature with the accuracy, a dead cell's as the smallest value."""
    rows = [row for row in rows if row["arch"] in accuracy]
    y = [accuracy[row["arch"]] for row in rows]
    result = {}
    for name in rows[0]:
        if name not in ("arch", "canonical", "seconds"):
            values = np.nan_to_num([float(row[name]) for row in rows], nan=-1e300, neginf=-1e300)
            if len(set(values)) > 1:
                result[name] = round(float(spearmanr(values, y).statistic), 4)
    return result


def score_cells(arguments: argparse.Namespace, cells: list[dict[str, str]], path: Path) -> None:
    """Append a row for every cell that the table does not have yet."""
    done = read_rows(path)
    scored = {row["canonical"]: {k: row[k] for k in row if k.startswith(NETWORK_COLUMNS)} for row in done}
    names = {row["arch"] for row in done}
    options = {"channels": arguments.channels, "cells_per_stage": arguments.cells_per_stage}
    missing = [CellSpec.from_string(c["arch"], **options) for c in cells if c["arch"] not in names]
    to_score = list({spec.canonical.arch_string: spec.canonical for spec in missing}.values())
    to_score = [spec for spec in to_score if spec.arch_string not in scored]
    shape = (3, 32, 32)
    params = affine_in_convolutions(lambda spec: count_params(spec.skeleton(shape, N_OUTPUTS)))
    flops = affine_in_convolutions(lambda spec: count_flops(spec.build(shape, N_OUTPUTS), shape))
    sizes = {"n": arguments.inputs, "side": arguments.side, "n_networks": arguments.networks, "seed": arguments.seed}
    with ProcessPoolExecutor(arguments.jobs, initializer=prepare, initargs=(arguments.data, sizes)) as pool:
        results = zip(to_score, pool.map(timed_features, to_score), strict=True)
        for spec in missing:
            name, seconds = spec.canonical.arch_string, 0.0
            while name not in scored:
                scored_spec, (features, seconds) = next(results)
                scored[scored_spec.arch_string] = features
            row: dict[str, Any] = {"arch": spec.arch_string, "canonical": name, **scored[name]}
            counted = architecture_features(spec)
            sizes_of = counted["n_nor_conv_1x1"], counted["n_nor_conv_3x3"]
            row |= {"params": math.log10(params(*sizes_of)), "flops": math.log10(flops(*sizes_of)), **counted}
            append_row(path, {**row, "seconds": seconds}, columns=list(done[0]) if done else None)


_inputs: Inputs | None = None  # of a worker process


def prepare(data: Path, sizes: dict[str, int]) -> None:
    global _inputs
    torch.set_num_threads(1)
    _inputs = Inputs(data, **sizes)


def timed_features(spec: CellSpec) -> tuple[dict[str, float], float]:
    assert _inputs is not None
    start = time.process_time()
    features = network_features(spec, _inputs)
    return features, time.process_time() - start


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return protocol, cost and, where accuracies are given, rank correlations; the scores are in the table."""
    path = arguments.output.with_suffix(".csv")
    cells = read_rows(arguments.cells)[: arguments.limit]
    score_cells(arguments, cells, path)
    wanted = {cell["arch"] for cell in cells}
    rows = [row for row in read_rows(path) if row["arch"] in wanted]
    seconds = np.array([float(row["seconds"]) for row in rows])
    protocol = ("channels", "cells_per_stage", "side", "inputs", "networks")
    result = {
        "protocol": {name: getattr(arguments, name) for name in protocol},
        "n_cells": len(rows),
        "n_scored": len({row["canonical"] for row in rows}),
        "cpu_seconds_per_scored_cell": round(float(seconds[seconds > 0].mean()), 4),
        "cpu_seconds_per_cell": round(float(seconds.mean()), 4),
    }
    if ACCURACY in cells[0]:
        result["spearman_with_accuracy"] = correlations(rows, accuracies(cells))
    print(json.dumps(result, indent=2))
    return result


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_file("cells", "CSV file of cells")
    parser.add_file("data", "npz file with CIFAR-10's x_test")
    parser.add_argument("--limit", type=int, help="only the first cells of the list")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cells-per-stage", type=int, default=1)
    parser.add_argument("--side", type=int, default=16, help="images are averaged to this height and width")
    parser.add_argument("--inputs", type=int, default=16, help="number of images")
    parser.add_argument("--networks", type=int, default=8, help="untrained networks for every cell and probe")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    small = {"limit": 4, "channels": 4, "side": 8, "inputs": 4, "networks": 1}
    harness.run(parser, measure, quick=small, threads=1, name="nasbench201_dev_scores")
