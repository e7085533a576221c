"""Tables of trained networks, and the small untrained ones that stand for them, for `sensitivity_kernel.py`."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import harness
import numpy as np
import torch
from csv_rows import ACCURACY, read_rows
from torch import nn

from nas_sens.architectures import load_spec
from nas_sens.architectures.cell import CellSpec

CLASSES = 10
MICRO_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
MICRO_TASKS = ("class_scene", "segmentsemantic", "autoencoder")
OWN = ("fashion_he_normal", "fashion_standard_normal", "mnist_he_normal", "mnist_standard_normal")
REDUCED = {"channels": 8, "cells_per_stage": 1}


@dataclass(frozen=True)
class Trained:
    """A network that others, or we, have trained.

    Attributes:
        table: Which table it is of.
        name: Its name there.
        flops: Of the network that was trained, or proportional to it.
        outcomes: By task, larger is better.
        arch: What builds the small network that stands for it.
    """

    table: str
    name: str
    flops: float
    outcomes: dict[str, float]
    arch: str

    def build(self, shape: tuple[int, ...]) -> nn.Module:
        """Return the network, its weights not drawn yet."""
        if self.table == "nasbench_macro":
            return macro_network(self.arch)
        if self.table in ("nasbench201", "transnas_micro"):
            return CellSpec.from_string(self.arch, **REDUCED).build(shape, CLASSES)
        return load_spec(json.loads(self.arch)).build(shape, CLASSES)


class InvertedResidual(nn.Module):
    """Block of MobileNetV2, as NAS-Bench-Macro has it."""

    def __init__(self, n_in: int, n_out: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        n = n_in * expansion
        self.body = nn.Sequential(
            *(nn.Conv2d(n_in, n, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU6()),
            *(nn.Conv2d(n, n, kernel, stride, kernel // 2, groups=n, bias=False), nn.BatchNorm2d(n), nn.ReLU6()),
            *(nn.Conv2d(n, n_out, 1, bias=False), nn.BatchNorm2d(n_out)),
        )
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.is_residual else self.body(x)


def macro_network(arch: str, channels: int = 8) -> nn.Module:
    """Return a network of NAS-Bench-Macro with fewer channels: digits of 2, 3 and 3 layers, the first of stride 2."""
    n = channels
    layers: list[nn.Module] = [nn.Conv2d(3, n, 3, padding=1, bias=False), nn.BatchNorm2d(n), nn.ReLU6()]
    for place, digit in enumerate(arch):
        stage = (place >= 2) + (place >= 5)
        n_out, stride = channels * 2**stage, 2 if place in (0, 2, 5) else 1
        if digit != "0":
            kernel, expansion = {"1": (3, 3), "2": (5, 6)}[digit]
            layers.append(InvertedResidual(n, n_out, kernel, expansion, stride))
        elif stride == 2:
            layers += [nn.Conv2d(n, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)]
        n = n_out
    layers += [nn.Conv2d(n, 4 * n, 1, bias=False), nn.BatchNorm2d(4 * n), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * n, CLASSES))


def networks_of(arguments: argparse.Namespace) -> Iterator[Trained]:
    """Yield the networks of all tables that are given, ``--limit`` of NAS-Bench-201 and ``--others`` of the others."""
    if arguments.cells:
        for row in _some(arguments.cells, arguments.limit):
            arch = row["arch"]
            flops = CellSpec.from_string(arch).size((3, 32, 32), CLASSES)[1]
            yield Trained("nasbench201", arch, flops, {"cifar10": float(row[ACCURACY])}, arch)
    if arguments.macro:
        for row in _some(arguments.macro, arguments.others):
            outcome = {"cifar10": float(row["mean_acc"])}
            yield Trained("nasbench_macro", row["arch"], float(row["flops"]), outcome, row["arch"])
    if arguments.micro:
        for row in _some(arguments.micro, arguments.others):
            e = [MICRO_OPERATIONS[int(digit)] for digit in row["arch"]]
            arch = f"|{e[0]}~0|+|{e[1]}~0|{e[2]}~1|+|{e[3]}~0|{e[4]}~1|{e[5]}~2|"
            outcomes = {task: float(row[task]) for task in MICRO_TASKS}
            flops = CellSpec.from_string(arch).size((3, 32, 32), CLASSES)[1]
            yield Trained("transnas_micro", row["arch"], flops, outcomes, arch)
    for table in OWN:
        for row in _some(harness.RESULTS / f"trained_{table}.csv", arguments.others):
            outcome = {"error": -float(row["val_error"])}
            yield Trained(table, row["digest"], 10 ** float(row["log10_flops"]), outcome, row["architecture"])


def _some(path: Path, limit: int) -> list[dict[str, str]]:
    rows = read_rows(path)
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:limit]]


def equal_size_pairs(flops: list[float], tolerance: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends of all pairs whose operations differ by at most a share of the larger."""
    size = np.array(flops)
    i, j = np.triu_indices(len(size), 1)
    near = np.abs(size[i] - size[j]) <= tolerance * np.maximum(size[i], size[j])
    return i[near], j[near]


def kendall(values: list[float], outcomes: list[float], pairs: tuple[np.ndarray, np.ndarray]) -> float:
    """Return Kendall's τ_b over some pairs; what is not a number is the smallest, nan if there is no order."""
    v, y = np.nan_to_num(np.array(values), nan=-1e300, neginf=-1e300, posinf=1e300), np.array(outcomes)
    a, b = np.sign(v[pairs[0]] - v[pairs[1]]), np.sign(y[pairs[0]] - y[pairs[1]])
    scale = math.sqrt(np.count_nonzero(a) * np.count_nonzero(b))
    return float(a @ b) / scale if scale else math.nan
