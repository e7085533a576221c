"""How well latency is predicted from 32 measured networks: on others of the same space, and beside FLOPs alone.

    python benchmarks/latency_model.py

``error`` is what the model says of itself (nine in ten within), ``within`` the share of other networks that are, and
``median`` the median relative error; ``spearman`` and ``spearman_flops`` rank the others. Single thread, batch of 1.
"""

from __future__ import annotations

import argparse
from typing import Any

import harness
import numpy as np
import torch
from scipy.stats import spearmanr

import nas_sens as ns
from nas_sens.architectures import count_flops
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.core.inputs import example_of, shape_from
from nas_sens.scoring.footprint import footprint
from nas_sens.scoring.latency import measure_latency
from nas_sens.scoring.latency_model import fit_latency, terms_of
from nas_sens.study.constraints import LatencySpec

SPACES = {"fc_vs_cnn": (3, 32, 32), "resnet": (3, 32, 32), "timm_small": (3, 64, 64), "nasbench201": (3, 32, 32)}
N_FITTED, N_CLASSES = 32, 10


def measured(space: ns.SearchSpace, shape: tuple[int, ...], n: int) -> tuple[list[Any], list[float], list[float]]:
    """Return terms, latencies and FLOPs of random networks, as many as the space has."""
    terms, ms, flops, seen = [], [], [], set[str]()
    x = example_of(shape_from(shape), 1)
    for seed in range(20 * n):
        spec = space.sample(seed=seed)
        if spec.digest in seen or len(ms) == n:
            continue
        seen.add(spec.digest)
        try:
            model = spec.build(shape, N_CLASSES, generator=torch.Generator().manual_seed(0))
            flops.append(float(count_flops(model, shape)))
        except InfeasibleArchitectureError:
            continue
        terms.append(terms_of(int(flops[-1]), footprint(model, x)))
        ms.append(measure_latency(model, x, LatencySpec()).ms)
    return terms, ms, flops


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how well the others are predicted, by space."""
    found: dict[str, Any] = {}
    for name in arguments.spaces:
        terms, ms, flops = measured(ns.load_space(name), SPACES[name], arguments.fitted + arguments.others)
        k = min(arguments.fitted, len(ms) // 2)
        model = fit_latency(terms[:k], ms[:k])
        predicted = np.array([model.predict(t) for t in terms[k:]])
        errors = np.abs(predicted / np.array(ms[k:]) - 1)
        found[name] = {
            "fitted": k,
            "others": len(errors),
            "milliseconds": [round(min(ms), 4), round(max(ms), 4)],
            "error": round(model.error, 4),
            "within": round(float((errors <= model.error).mean()), 4),
            "median": round(float(np.median(errors)), 4),
            "spearman": round(float(spearmanr(predicted, ms[k:])[0]), 4),
            "spearman_flops": round(float(spearmanr(flops[k:], ms[k:])[0]), 4),
        }
        print(name, found[name], flush=True)
    return {"by_space": found}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.set_defaults(spaces=list(SPACES), fitted=N_FITTED, others=64)
    harness.run(parser, measure, quick={"spaces": ["fc_vs_cnn"], "fitted": 8, "others": 3}, threads=1)
