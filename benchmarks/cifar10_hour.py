"""An hour of search on all of CIFAR-10 from files, against ResNet-20 at its FLOPs and by the same training.

    python benchmarks/cifar10_hour.py --data npz:cifar10.npz            # or folder:PATH with train/ and test/

A space of residual networks and of small EfficientNets, none with more FLOPs than ResNet-20 of section 4.2 of
arXiv:1512.03385, is searched by trainings of 8,000 images and 5 epochs. The best one is then trained by `nas-sens
refine` on all images that the validation set leaves, for as many epochs and seeds as ResNet-20, designed by hand, is.
The hour is of both commands.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

RESNET20_FLOPS = 81_626_368  # a product and a sum are two; 272,464 parameters
DATA = """
[data]
name = "{data}"
standardize = true
val_samples = 2000
{train_samples}
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
seeds = {seeds}
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
BY_HAND = """
name = "by-hand"
[search_space.resnet]
stages = 3
blocks = 3
width = 16
shortcut = "identity"
batch_norm = true
bias = false
init = "he_normal"
[search]
n_candidates = 1
[select]
rule = "random"
top_k = 1
control = 0
"""


def run(folder: Path, *arguments: str) -> float:
    """Run a command of the tool in a folder and return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nas_sens", *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def ranked(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return what `rank` says of a study."""
    command = [sys.executable, "-m", "nas_sens", "rank", name, "--format", "json"]
    return list(json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of each command, and all networks that were trained."""
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    small, full = {"train_samples": f"train_samples = {arguments.samples}"}, {"train_samples": ""}
    if arguments.quick:
        full = small
    common = {"data": arguments.data, "precision": arguments.precision}
    studies = {
        "hour": SEARCHED + DATA.format(epochs=arguments.epochs, seeds=1, **common, **small),
        "by_hand": BY_HAND + DATA.format(epochs=arguments.final_epochs, seeds=arguments.seeds, **common, **full),
    }
    values = {"flops": RESNET20_FLOPS, "seed": arguments.seed, "top_k": arguments.top_k, "control": arguments.control}
    for name, text in studies.items():
        text = text.replace(SEARCHED, SEARCHED.format(n_candidates=arguments.candidates, **values))
        (folder / f"{name}.toml").write_text(text)
    seconds = {"search": run(folder, "search", "hour.toml")}
    more = [] if arguments.quick else ["--set", "data.train_samples=all"]
    final = ["--epochs", str(arguments.final_epochs), "--seeds", str(arguments.seeds), *more]
    seconds["refine"] = run(folder, "refine", "hour", *final)
    seconds["by_hand"] = run(folder, "search", "by_hand.toml")
    return {
        "seconds_of": {name: round(value, 1) for name, value in seconds.items()},
        "searched": ranked(folder, "hour"),
        "refined": ranked(folder, "hour-refined"),
        "by_hand": ranked(folder, "by-hand"),
    }


def main() -> None:
    """Run the benchmark."""
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--data", required=True, help="as in [data] name, paths absolute")
    parser.add_argument(
        "--precision", default="float32", help="as in [train]; bfloat16 for a CPU with instructions for it"
    )
    parser.add_argument("--folder", type=Path, help="keeps the studies, and goes on with them")
    for name, default in {
        **{"candidates": 120, "samples": 8_000, "epochs": 5, "top-k": 8, "control": 2},
        **{"final-epochs": 6, "seeds": 2},
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    small = {"candidates": 10, "samples": 500, "epochs": 1, "top_k": 1, "control": 1, "final_epochs": 1}
    harness.run(parser, measure, quick=small)


if __name__ == "__main__":
    main()
