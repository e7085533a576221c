"""The processes of trainings by several: they do all cases, and rank 0 writes what they came to.

They are forked from one that has imported all that they need, which takes longer than what they do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import nas_sens as ns
from nas_sens.architectures import ArchitectureSpec
from nas_sens.core.errors import StorageError
from nas_sens.training.checkpoint import Checkpoint
from nas_sens.training.limits import Limits
from nas_sens.training.ranks import ALONE, Ranks, ranks_of

N = 201  # samples: batches of 32 leave 9, which three processes share unevenly
IMAGES = ns.CNNSpec(depth=2, channels=3)
FC = ns.FCSpec(depth=1, width=16)
MIXED = {"mixup": 0.4, "cutmix": 1.0}
Case = tuple[ArchitectureSpec, dict[str, Any]]
# What a single process comes to as well, but for rounding.
SAME: dict[str, Case] = {
    "plain": (FC, {}),
    "a step is larger": (FC, {"accumulate": 3, "optimizer": "sgd", "momentum": 0.9, "max_gradient_norm": 0.5}),
    "small batches": (FC, {"batch_size": 2, "samples": 11}),
    "one at a time": (FC, {"batch_size": 1, "samples": 5}),
    "all at once": (FC, {"batch_size": "full"}),
    "lbfgs": (FC, {"epochs": 1, "batch_size": "full", "optimizer": "lbfgs", "learning_rate": 1.0}),
    "moved and mixed": (IMAGES, {"augmentation": ("translation", "flip", "rotation"), **MIXED}),
    "mixed batch by batch": (IMAGES, {**MIXED, "label_smoothing": 0.1}),
    "weighted": (FC, {"class_weights": tuple(0.5 + i for i in range(10)), "ema_decay": 0.9}),
    "noisy": (FC, {"label_noise": 0.3, "noisy_epochs": 1, "temperature_scaling": True}),
    "stopped": (FC, {"epochs": 50, "learning_rate": 1e-2, "stop_loss": 1.5, "stop_epochs": 1}),
    "measured": (FC, {"metrics": ("jacobian_norm",), "metrics_every": 1}),
}
# What is the same whenever the number of processes is.
OWN: dict[str, Case] = {
    "normalised": (ns.FCSpec(depth=2, width=12, batch_norm=True), {"ema_decay": 0.9}),
    "dropout": (ns.FCSpec(depth=2, width=12, dropout=0.3), MIXED),
    "transforms": (IMAGES, {"transforms": ({"name": "RandomVerticalFlip"},)}),
}
LIMITS = {"mixed batch by batch": Limits(gathered_numbers=1, folded_batches=1)}


class Kept:
    """Files of checkpoints in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, name, write_into):
        write_into(file := io.BytesIO())
        self.files[name] = file.getvalue()

    def get(self, name):
        return io.BytesIO(self.files[name]) if name in self.files else None

    def remove(self, name):
        raise StorageError("nothing is removed here")


def digits() -> ns.Splits:
    return ns.load_data(ns.DataSpec(name="digits", train_samples=N, val_samples=50))


def trained(name: str, case: Case, splits: ns.Splits, ranks: Ranks = ALONE, **how: Any) -> dict[str, Any]:
    architecture, keys = case
    spec = ns.TrainSpec(**{"epochs": 2, "batch_size": 32, **keys})
    limits = LIMITS.get(name, Limits())
    return dataclasses.asdict(ns.train(architecture, splits, spec, seed=1, limits=limits, ranks=ranks, **how))


class Interrupted(Exception):
    """The training ends after an epoch."""


def gone_on(case: Case, splits: ns.Splits, ranks: Ranks) -> dict[str, Any]:
    """Train for an epoch, and go on from the state after it."""
    files = Kept()

    def stop(curve):
        if len(curve) == 1:
            raise Interrupted

    keys = (
        {"checkpoint": Checkpoint(files, "a", seconds=0.0), "on_epoch": stop} if ranks.rank == 0 else {"on_epoch": stop}
    )
    with contextlib.suppress(Interrupted):
        trained("", case, splits, ranks, **keys)
    return trained("", case, splits, ranks, **({"checkpoint": Checkpoint(files, "a")} if ranks.rank == 0 else {}))


def work(rank: int, size: int, folder: Path, splits: ns.Splits) -> None:
    store = dist.FileStore(str(folder / "store"), size)
    found: dict[str, dict[str, Any]] = {}
    for name, case in {**SAME, **OWN}.items():
        for again in range(1 + (name in OWN)):
            within = dist.PrefixStore(f"{name} {again}", store)
            with ranks_of(within, rank=rank, size=size, device=torch.device("cpu")) as ranks:
                found[f"{name} again" if again else name] = trained(name, case, splits, ranks)
    for name in ("dropout", "moved and mixed"):
        with ranks_of(dist.PrefixStore(f"on {name}", store), rank=rank, size=size, device=torch.device("cpu")) as ranks:
            found[f"{name} gone on"] = gone_on({**SAME, **OWN}[name], splits, ranks)
    if rank == 0:
        torch.save(found, folder / "outcomes.pt")


def main() -> int:
    """Return 0 if all processes did what they had to."""
    size, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)  # a process with more could not be forked
    for needed in ("torch._dynamo", "torchvision.transforms.v2"):  # by optimizers, and by what mixes samples
        import_module(needed)
    splits = digits()
    others: list[int] = []
    for rank in range(1, size):
        if (other := os.fork()) == 0:
            work(rank, size, folder, splits)
            return 0
        others.append(other)
    work(0, size, folder, splits)
    return max(abs(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])) for other in others)


if __name__ == "__main__":
    sys.exit(main())
