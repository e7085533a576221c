"""What untrained networks tell of published benchmarks' architectures: the features that selection rules would see.

    python benchmarks/cell_scores.py --data cifar10.npz --nasbench201 CELLS.csv.gz --transnas CELLS.csv.gz
        --macro CELLS.csv.gz

Each list of architectures is a CSV with the column ``arch`` in the benchmark's own form; those of TransNAS-Bench-101
(micro) are six digits, of NAS-Bench-Macro eight. ``--data`` is an npz file with CIFAR-10's ``x_test``, uint8
(n, 32, 32, 3); images are averaged to ``--side``, pixels raw. Networks are scored smaller than the benchmark's, with
8 channels and one cell a stage; parameters and FLOPs are those of 16 channels and 5 cells (NAS-Bench-Macro: 32
channels) on images of this side. Networks that compute the same function are scored once. Scores go into one CSV file
for each benchmark beside the result, and a run goes on where they end. They have the columns ``depth``, the most
convolutions on a path, and ``trainable_layers``, the number of convolutions and linear layers, of the whole network.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import macro_network
import numpy as np
import torch
from csv_rows import append_row, read_rows
from torch import nn

import nas_sens as ns
from nas_sens.architectures import ArchitectureSpec, family_of
from nas_sens.architectures.cell import CellSpec
from nas_sens.architectures.cell_isomorphism import EDGES
from nas_sens.core.errors import InvalidInputError
from nas_sens.scoring.assess import Assessed, assess_many
from nas_sens.scoring.probe import Probe, probe_inputs
from nas_sens.study.proposal import Proposal

METRICS = ("naswot", "synflow", "jacob_cov")
REDUCED = {"channels": 8, "cells_per_stage": 1}
DIGITS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")  # of TransNAS-Bench-101
MACRO = family_of(macro_network.macro)
CHUNK = 50


def nasbench201(arch: str) -> ArchitectureSpec:
    return CellSpec.from_string(arch, init="he_normal")


def transnas(arch: str) -> ArchitectureSpec:
    operations = {f"op_{i}_{j}": DIGITS[int(digit)] for (i, j), digit in zip(EDGES, arch, strict=True)}
    return CellSpec(**operations, init="he_normal")  # type: ignore[arg-type]


def macro(arch: str) -> ArchitectureSpec:
    return MACRO(blocks=arch, init="he_normal")


BENCHMARKS: dict[str, Callable[[str], ArchitectureSpec]] = {
    **{"nasbench201": nasbench201, "transnas": transnas, "macro": macro}
}


def structure(spec: ArchitectureSpec) -> dict[str, float]:
    """Return ``depth`` and ``trainable_layers`` of the whole network."""
    found = type(spec).structure(spec.to_dict())
    if not isinstance(spec, CellSpec):
        return found
    cells, n = 3 * spec.cells_per_stage, sum(op.startswith("nor_conv") for op in spec.operations)
    depth = 1 + cells * found["depth_conv"] + 2 * 2  # reductions have two convolutions and that of their shortcut
    return {"depth": depth, "trainable_layers": 2 + cells * n + 2 * 3}


def splits_of(data: Path, side: int) -> ns.Splits:
    """Return CIFAR-10's test images as inputs to score with."""
    images = torch.from_numpy(np.load(data)["x_test"]).permute(0, 3, 1, 2) / 255
    x = nn.functional.avg_pool2d(images, images.shape[-1] // side)
    return ns.load_data(ns.DataSpec(name=lambda: ns.Data(probe=x, n_outputs=10)))


def scored(specs: dict[str, ArchitectureSpec], splits: ns.Splits, probe: Probe) -> Iterator[dict[str, Any]]:
    """Yield the row of every architecture, by its name; measures that there are not are left empty."""
    cache: dict[str, Assessed] = {}
    anything = ns.SearchSpace(name="anything", families={"fc": {"depth": 1, "width": 1}})  # only constraints are asked
    names = list(specs)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        proposals = [Proposal({}, specs[name], is_repeat=False) for name in chunk]
        for name, (found, _) in zip(chunk, assess_many(anything, proposals, splits, probe, cache=cache), strict=True):
            sizes = {"log10_params": math.log10(found.params), "log10_flops": math.log10(found.flops)}
            sensitivities = {k: getattr(found, k) for k in ("log10_sensitivity", "log10_relative_sensitivity")}
            measures = {k: found.measures.get(k) for k in METRICS}
            values = {**sensitivities, **measures, **sizes, **structure(specs[name])}
            yield {"arch": name} | {k: "" if v is None else f"{v:.5g}" for k, v in values.items()}


def score_all(name: str, arguments: argparse.Namespace, splits: ns.Splits, probe: Probe) -> dict[str, Any]:
    """Append a row for every architecture that the table does not have yet; return their numbers and the cost."""
    path = arguments.output.with_name(f"{name}_cell_scores.csv")
    names = [row["arch"] for row in read_rows(getattr(arguments, name))]
    if arguments.limit is not None and arguments.limit < len(names):
        order = torch.randperm(len(names), generator=harness.generator("architectures", seed=arguments.seed))
        names = [names[i] for i in order[: arguments.limit]]
    done = {row["arch"] for row in read_rows(path)}
    specs = {arch: BENCHMARKS[name](arch) for arch in names if arch not in done}
    began = time.process_time()
    for row in scored(specs, splits, probe):
        append_row(path, row)
    seconds = time.process_time() - began
    n_functions = len({BENCHMARKS[name](arch).canonical for arch in names})
    per_network = round(seconds / len(specs), 4) if specs else None
    found = {"architectures": len(names), "functions": n_functions, "cpu_seconds_per_architecture": per_network}
    print(name, found, flush=True)
    return found


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return protocol and cost; the scores are in the tables."""
    given = [name for name in BENCHMARKS if getattr(arguments, name) is not None]
    if not given:
        raise InvalidInputError(f"needs a list of architectures: --{', --'.join(BENCHMARKS)}; none is given")
    spec = ns.ScoreSpec(
        estimator="monte_carlo",
        n_inputs=arguments.inputs,
        seeds=arguments.networks,
        metrics=METRICS,
        reduced=REDUCED,
    )
    splits = splits_of(arguments.data, arguments.side)
    x, y = probe_inputs(splits, spec, seed=arguments.seed)
    probe = Probe(x, spec, seed=arguments.seed, y=y)
    protocol = {"reduced": REDUCED, **{name: getattr(arguments, name) for name in ("side", "inputs", "networks")}}
    return {"protocol": protocol, "scored": {name: score_all(name, arguments, splits, probe) for name in given}}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_file("data", "npz file with CIFAR-10's x_test")
    for name in BENCHMARKS:
        parser.add_file(name, f"CSV file of architectures of {name}", is_needed=False)
    parser.add_argument("--limit", type=int, help="only so many random ones of each list")
    parser.add_argument("--side", type=int, default=16, help="images are averaged to this height and width")
    parser.add_argument("--inputs", type=int, default=32, help="number of images")
    parser.add_argument("--networks", type=int, default=2, help="untrained networks for every architecture")
    harness.run(parser, measure, quick={"limit": 4, "side": 8, "inputs": 4, "networks": 1}, threads=1)
