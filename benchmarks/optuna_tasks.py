"""Tasks of optuna_side_by_side.py: an Optuna user's ``build(trial)`` each, its data, and the table of its trainings.

    python benchmarks/optuna_tasks.py --fashion npz:fashion_mnist.npz

Every network of a finite space is trained once, from a fixed seed of its own, and its validation figures after each
epoch are kept in a CSV file beside the result. A method that "trains" a network then reads its row: what it sees is
what that training gave, and hundreds of searches cost no more than one. Published NAS benchmarks are made that way.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np
import optuna
import torch
from optuna.trial import BaseTrial, FixedTrial
from torch import nn
from torch.nn import functional as F

import nas_sens as ns
from nas_sens.core.identity import digest, make_generator

Data = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # x and y to train on, x and y to validate on
BATCH = 64


@dataclass(frozen=True)
class Task:
    """What an Optuna user searches.

    Attributes:
        name: Of the table, and in the result.
        build: Returns the untrained network of a trial.
        data: Returns the data, given the name of the data set in place of torchvision's Fashion-MNIST.
        epochs: Of every training.
        target: ``val_accuracy`` (larger is better) or ``val_loss`` (smaller is better).
        lr: Returns the learning rate of a trial.
    """

    name: str
    build: Callable[[BaseTrial], nn.Module]
    data: Callable[[str], Data]
    epochs: int
    target: str
    lr: Callable[[BaseTrial], float]

    @property
    def direction(self) -> str:
        return "maximize" if self.target == "val_accuracy" else "minimize"


def fashion_data(name: str) -> Data:
    splits = ns.load_data(ns.DataSpec(name=name, train_samples=2000, val_samples=2000, test_samples=100))
    return splits.x_train, splits.y_train, splits.x_val, splits.y_val


def fashion_network(trial: BaseTrial) -> nn.Module:
    """Fully-connected or convolutional: parameters of the other kind are not suggested."""
    layers: list[nn.Module] = []
    if trial.suggest_categorical("kind", ["fc", "cnn"]) == "fc":
        depth, width = trial.suggest_int("depth", 1, 5), trial.suggest_categorical("width", [16, 32, 64, 128, 256])
        layers.append(nn.Flatten())
        for i in range(depth):
            layers += [nn.Linear(784 if i == 0 else width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 10))
    depth, channels = trial.suggest_int("layers", 1, 3), trial.suggest_categorical("channels", [2, 4, 8, 16])
    kernel, hidden = trial.suggest_categorical("kernel", [3, 5]), trial.suggest_categorical("hidden", [0, 64])
    pool = trial.suggest_categorical("pool", ["max", "stride"])
    size = 28
    for i in range(depth):
        stride = 1 if pool == "max" else 2
        layers += [nn.Conv2d(1 if i == 0 else channels, channels, kernel, stride, kernel // 2), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool == "max" else []
        size = size // 2 if pool == "max" else (size + 1) // 2
    features = channels * size * size
    layers.append(nn.Flatten())
    if hidden:
        layers += [nn.Linear(features, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden or features, 10))


def series_data(_: str) -> Data:
    """Two of three motifs, one after the other, in noise: six classes, by which they are in which order."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 16)
    window = np.sin(np.pi * t)
    motifs = np.stack([np.sin(4 * np.pi * t) * window, np.sin(8 * np.pi * t) * window, np.sign(t - 0.5) * window])
    pairs = list(itertools.permutations(range(3), 2))
    n, length = 2500, 96
    x, y = rng.normal(0, 0.6, (n, 2, length)), rng.integers(0, len(pairs), n)
    for i, label in enumerate(y):
        for place, motif in zip((rng.integers(0, 32), rng.integers(48, 80)), pairs[label], strict=True):
            x[i, :, place : place + 16] += np.outer(rng.choice([-1.0, 1.0]) * rng.uniform(0.7, 1.3, 2), motifs[motif])
    inputs, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    return inputs[:1500], labels[:1500], inputs[1500:], labels[1500:]


def series_network(trial: BaseTrial) -> nn.Module:
    """1-D convolutions, with pooling between them or without, read out at every position or over their mean."""
    depth, width = trial.suggest_int("depth", 1, 4), trial.suggest_categorical("width", [4, 8, 16, 32])
    kernel, pool = trial.suggest_categorical("kernel", [3, 5, 9]), trial.suggest_categorical("pool", [1, 2])
    head = trial.suggest_categorical("head", ["flat", "mean"])
    layers: list[nn.Module] = []
    length = 96
    for i in range(depth):
        layers += [nn.Conv1d(2 if i == 0 else width, width, kernel, padding=kernel // 2), nn.ReLU()]
        if pool == 2:
            layers.append(nn.MaxPool1d(2))
            length //= 2
    layers += [nn.AdaptiveAvgPool1d(1)] if head == "mean" else []
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * (1 if head == "mean" else length), 6))


def table_data(_: str) -> Data:
    """Digits as rows of 64 numbers; 500 of the 1,797 to train on."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    inputs, labels = torch.tensor(x[order] / 16, dtype=torch.float32), torch.tensor(y[order])
    return inputs[:500], labels[:500], inputs[500:], labels[500:]


def table_network(trial: BaseTrial) -> nn.Module:
    """A perceptron; the learning rate is searched with it."""
    depth, width = trial.suggest_int("depth", 1, 4), trial.suggest_categorical("width", [8, 16, 32, 64, 128, 256])
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[trial.suggest_categorical("activation", ["relu", "tanh"])]
    dropout = trial.suggest_categorical("dropout", [0.0, 0.2])
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(64 if i == 0 else width, width), activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(width, 10))


def searched_lr(trial: BaseTrial) -> float:
    return float(trial.suggest_categorical("lr", [1e-3, 3e-3, 1e-2]))


def usual_lr(_: BaseTrial) -> float:
    return 1e-3


TASKS = (
    Task("fashion", fashion_network, fashion_data, 20, "val_accuracy", usual_lr),
    Task("series", series_network, series_data, 20, "val_loss", usual_lr),
    Task("table", table_network, table_data, 30, "val_accuracy", searched_lr),
)


def grid(task: Task) -> Iterator[dict[str, Any]]:
    """Yield the parameters of every network of a task's space, found by following what is suggested."""

    class Choices(FixedTrial):
        """A trial whose parameters are given as far as they go; then it takes the first choice and notes the others."""

        def __init__(self, given: Mapping[str, Any]) -> None:
            super().__init__(dict(given))
            self.others: list[dict[str, Any]] = []

        def _suggest(self, name: str, distribution: Any) -> Any:
            if name not in self._params:
                is_category = isinstance(distribution, optuna.distributions.CategoricalDistribution)
                first, *rest = distribution.choices if is_category else range(distribution.low, distribution.high + 1)
                self.others += [{**self._params, name: value} for value in rest]
                self._params[name] = first
            return super()._suggest(name, distribution)

    todo: list[dict[str, Any]] = [{}]
    while todo:
        trial = Choices(todo.pop())
        task.build(trial)
        task.lr(trial)
        todo += reversed(trial.others)
        yield trial.params


def trained(task: Task, params: Mapping[str, Any], data: Data) -> tuple[list[float], list[float]]:
    """Return validation loss and accuracy after each epoch of a training by Adam; the same at every call."""
    x, y, x_val, y_val = data
    torch.manual_seed(make_generator("optuna task", task.name, digest(params)).initial_seed() % 2**63)
    trial = FixedTrial(dict(params))
    network, lr = task.build(trial), task.lr(trial)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    losses, accuracies = [], []
    for _ in range(task.epochs):
        network.train()
        for part in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(x[part]), y[part]).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            logits = network(x_val)
        losses.append(float(F.cross_entropy(logits, y_val)))
        accuracies.append(float((logits.argmax(1) == y_val).double().mean()))
    return losses, accuracies


def write_table(task: Task, path: Path, data: Data, most: int | None) -> int:
    """Train and write; return the number of rows."""
    rows = list(grid(task))[:most]
    names = list(dict.fromkeys(name for params in rows for name in params))
    steps = range(1, task.epochs + 1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*names, *(f"val_loss_{i}" for i in steps), *(f"val_accuracy_{i}" for i in steps)])
        for i, params in enumerate(rows):
            losses, accuracies = trained(task, params, data)
            figures = [*(f"{v:.5g}" for v in losses), *(f"{v:.4f}" for v in accuracies)]
            writer.writerow([*(params.get(name, "") for name in names), *figures])
            file.flush()
            print(f"{task.name} {i + 1}/{len(rows)} {params} {losses[-1]:.4f} {accuracies[-1]:.4f}", flush=True)
    return len(rows)


def read_table(task: Task, folder: Path) -> dict[str, Sequence[float]]:
    """Return digest of the parameters to the curve of the task's target."""
    with (folder / f"optuna_curves_{task.name}.csv").open(newline="", encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    return {
        digest(params): [float(row[f"{task.target}_{i}"]) for i in range(1, task.epochs + 1)]
        for params, row in zip(grid(task), cells, strict=False)
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the tables beside the result; return their sizes."""
    sizes = {}
    for task in TASKS:
        if arguments.only in (None, task.name):
            path = arguments.output.with_name(f"optuna_curves_{task.name}.csv")
            sizes[task.name] = write_table(task, path, task.data(arguments.fashion), arguments.most)
    return {"networks": sizes, "epochs": {task.name: task.epochs for task in TASKS}}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--fashion", default="fashion_mnist", help="data set in place of torchvision's")
    parser.add_argument("--only", help="name of one table")
    parser.set_defaults(most=None)
    harness.run(parser, measure, quick={"fashion": "mnist5k", "most": 1}, threads=1)
