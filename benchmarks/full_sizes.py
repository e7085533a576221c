"""How much do the papers' studies train at their full sizes, and how long is that on one GPU?  a minute or two

    python benchmarks/full_sizes.py

For every study with a table ``[full]``: trainings, optimisation steps, and FLOPs of training (three forward passes an
input), all at most, as networks may stop earlier. GPU hours are a count, not a measurement: each step takes the longer
of ``--step-ms`` (an H100 took 1.2 to 1.5 ms for small networks in ``gpu.json``) and of its FLOPs at ``--tflops``. Side
by side on one GPU, small networks take a fraction of that. Measures and recordings are not counted.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import harness
import torch
from optuna.samplers import RandomSampler

import nas_sens as ns
from nas_sens.architectures import count_flops

ROOT = Path(__file__).parent.parent
SHAPES = {  # data set: shape of an input, outputs, and training samples as studies split them that set none
    "cifar10": ((3, 32, 32), 10, 40_000),
    "cifar100": ((3, 32, 32), 100, 40_000),
    "mnist": ((1, 28, 28), 10, 50_000),
    "fashion_mnist": ((1, 28, 28), 10, 48_000),
    "mnist5k": ((1, 28, 28), 10, 3_200),
    "digits": ((1, 8, 8), 10, 1_150),
    "boston_housing": ((13,), 1, 283),
}


def candidates(spec: ns.StudySpec) -> Iterator[dict[str, Any]]:
    """Yield the parameters of as many candidates as the study draws."""
    space = spec.search_space
    if space.cardinality is not None and space.cardinality <= spec.search.n_candidates:
        return space.enumerate()
    sampler = RandomSampler(seed=0)
    return islice(iter(lambda: space.draw(sampler), None), spec.search.n_candidates)


def of_candidate(spec: ns.StudySpec, params: dict[str, Any], step_seconds: float, per_second: float) -> list[float]:
    """Return trainings, steps, FLOPs and seconds of one candidate with all its seeds."""
    shape, n_outputs, n_all = SHAPES[spec.data.name]
    train = {"samples": spec.train.samples, "batch_size": spec.train.batch_size}
    train |= {k: v for k, v in spec.search_space.training_of(params).items() if k in train}
    n = min(v for v in (train["samples"], spec.data.train_samples, n_all) if v is not None)
    batch = n if train["batch_size"] == "full" else min(n, train["batch_size"])
    epochs = spec.train.epochs + (spec.train.noisy_epochs or 0)
    model = spec.search_space.architecture(params).build(shape, n_outputs, generator=torch.Generator().manual_seed(0))
    steps, flops = epochs * math.ceil(n / batch), 3.0 * epochs * n * count_flops(model, shape)
    seeds = spec.train.seeds
    return [seeds, seeds * steps, seeds * flops, seeds * max(steps * step_seconds, flops / per_second)]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the sizes of all studies that have a full one."""
    found = {}
    for path in sorted((ROOT / "studies").glob(arguments.pattern)):
        if "\n[full" not in path.read_text(encoding="utf-8"):
            continue
        spec = ns.load_study(path, full=True)
        each = [of_candidate(spec, p, arguments.step_ms / 1000, 1e12 * arguments.tflops) for p in candidates(spec)]
        share = min(1.0, (spec.select.top_k + spec.select.control) / len(each))
        trainings, steps, flops, seconds = (share * sum(column) for column in zip(*each, strict=True))
        key = path.relative_to(ROOT / "studies").with_suffix("").as_posix()
        found[key] = {
            "trainings": round(trainings),
            "steps": round(steps),
            "petaflops": float(f"{flops / 1e15:.3g}"),
            "gpu_hours": float(f"{seconds / 3600:.2g}"),
        }
        print(key, found[key], flush=True)
    return {"step_ms": arguments.step_ms, "tflops": arguments.tflops, "studies": found}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--step-ms", type=float, default=1.3)
    parser.add_argument("--tflops", type=float, default=10.0)
    parser.set_defaults(pattern="*/*.toml")
    harness.run(parser, measure, quick={"pattern": "fort2019/fig6.toml"}, threads=1)
