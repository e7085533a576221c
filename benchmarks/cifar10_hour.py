"""An hour of search on CIFAR-10 from files, on two cores.

    python benchmarks/cifar10_hour.py --data folder:PATH                # with train/ and test/; or npz:cifar10.npz

A space of residual networks and of small EfficientNets, none with more FLOPs than ResNet-20 of section 4.2 of
arXiv:1512.03385, is searched by trainings of 8,000 images and 5 epochs. `cifar10_finals.py` trains the best ones and
ResNet-20 for longer, alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness
import optuna

RESNET20_FLOPS = 81_626_368  # a product and a sum are two; 272,464 parameters
DATA = """
[data]
name = "{data}"
standardize = true
val_samples = {val_samples}
train_samples = {samples}
[train]
epochs = {epochs}
optimizer = "sgd"
learning_rate = 0.05
momentum = 0.9
nesterov = true
weight_decay = 5e-4
schedule = "cosine"
warmup_epochs = 1
precision = "{precision}"
augmentation = ["flip", "translation"]
seeds = 1
"""
SEARCHED = """
name = "hour"
[search_space.resnet]
blocks = {{ type = "list", length = 3, of = {{ type = "int", low = 1, high = 4 }} }}
width = {{ type = "int", low = 8, high = 32, step = 4 }}
shortcut = "identity"
pre_activation = [false, true]
batch_norm = true
bias = false
init = "he_normal"
[search_space.mbconv]
depths = {{ type = "list", length = 3, of = {{ type = "int", low = 1, high = 4 }} }}
widths = {{ type = "list", items = [
    {{ type = "int", low = 16, high = 32, step = 8 }},
    {{ type = "int", low = 24, high = 64, step = 8 }},
    {{ type = "int", low = 48, high = 128, step = 16 }},
] }}
kernels = {{ type = "list", length = 3, of = [3, 5] }}
expansions = {{ type = "list", length = 3, of = [1.0, 2.0, 4.0] }}
strides = {{ type = "list", items = [1, 2, 2] }}
stem_width = 16
head_width = [0, 128]
se_ratio = [0.0, 0.25]
[search_space.constraints]
flops = {{ max = {flops} }}
[search]
n_candidates = {n_candidates}
seed = {seed}
[select]
top_k = {top_k}
control = {control}
"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how long the search took, from its first candidate to its last training, and what it trained."""
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    values = {"flops": RESNET20_FLOPS, "seed": arguments.seed, "top_k": arguments.top_k, "control": arguments.control}
    text = SEARCHED.format(n_candidates=arguments.candidates, **values)
    options = {"data": arguments.data, "precision": arguments.precision, "samples": arguments.samples}
    options["val_samples"] = arguments.val_samples
    (folder / "hour.toml").write_text(text + DATA.format(epochs=arguments.epochs, **options))
    subprocess.run([sys.executable, "-m", "nas_sens", "search", "hour.toml"], cwd=folder, check=True, stdout=sys.stderr)
    command = [sys.executable, "-m", "nas_sens", "rank", "hour", "--format", "json"]
    ranked = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    protocol = options | {"data": arguments.data.partition(":")[0], "epochs": arguments.epochs}
    return {"minutes": minutes_of(folder), "protocol": protocol, "searched": json.loads(ranked)}


def minutes_of(folder: Path) -> float:
    """Return the minutes between the first and the last sign of a trial."""
    trials = optuna.load_study(study_name="hour", storage=f"sqlite:///{folder}/nas_sens.db").trials
    times = [t for trial in trials for t in (trial.datetime_start, trial.datetime_complete) if t]
    return round((max(times) - min(times)).total_seconds() / 60, 1)


def main() -> None:
    """Run the benchmark."""
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", default="cifar10", help="as in [data] name, paths absolute")
    parser.add_argument(
        "--precision", default="float32", help="as in [train]; bfloat16 for a CPU with instructions for it"
    )
    parser.add_argument("--folder", type=Path, help="keeps the studies, and goes on with them")
    sizes = {"candidates": 120, "samples": 8_000, "val-samples": 2_000, "epochs": 5, "top-k": 8, "control": 2}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    small = {"data": "mnist5k", "candidates": 10, "samples": 500, "val_samples": 200, "epochs": 1}
    small |= {"top_k": 1, "control": 1}
    harness.run(parser, measure, quick=small)


if __name__ == "__main__":
    main()
