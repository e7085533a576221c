"""Weights from numbers that all candidates share: what they cost, and how much less differences of scores vary.

    python benchmarks/common_numbers.py                    # some three minutes on one core

"milliseconds" are of processor time, per network, for 128 inputs of 3 × 32 × 32 in one pass with noise and one without:
the least of ``--rounds`` turns. "differences" are standard deviations, over repeated scores of 4 networks each, of
log10 S of a candidate less that of a similar one: with weights of their own, and with common numbers. A ratio of 0.5
saves three of four networks.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

import harness
import numpy as np
import torch
from timing import in_turns

import nas_sens as ns
from nas_sens.architectures.initialization import initialize_
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec

SHAPE, CLASSES = (3, 32, 32), 10
TIMED: dict[str, ns.ArchitectureSpec] = {
    "FC 4×300": ns.FCSpec(depth=4, width=300),
    "FC 6×100": ns.FCSpec(depth=6, width=100),
    "CNN 4 conv + 300": ns.CNNSpec(depth=4, channels=16, kernel=3, hidden_units=300),
    "CNN 3 conv, max pools": ns.CNNSpec(depth=3, channels=16, kernel=3, padding=1, max_pool=True),
}
_CNN: dict[str, Any] = {"depth": 3, "channels": 12, "kernel": 3, "padding": 1}
PAIRS: dict[str, tuple[ns.ArchitectureSpec, ns.ArchitectureSpec]] = {
    "FC 3×100, 3×101": (ns.FCSpec(depth=3, width=100), ns.FCSpec(depth=3, width=101)),
    "FC 3×100, 3×110": (ns.FCSpec(depth=3, width=100), ns.FCSpec(depth=3, width=110)),
    "FC 3×100, 4×100": (ns.FCSpec(depth=3, width=100), ns.FCSpec(depth=4, width=100)),
    "FC ReLU, GELU": (ns.FCSpec(depth=3, width=100), ns.FCSpec(depth=3, width=100, activation="gelu")),
    "CNN 12, 13 channels": (ns.CNNSpec(**_CNN), ns.CNNSpec(**_CNN | {"channels": 13})),
    "CNN 12, 16 channels": (ns.CNNSpec(**_CNN), ns.CNNSpec(**_CNN | {"channels": 16})),
    "CNN 3, 4 layers": (ns.CNNSpec(**_CNN), ns.CNNSpec(**_CNN | {"depth": 4})),
    "CNN with, without max pools": (ns.CNNSpec(**_CNN, max_pool=True), ns.CNNSpec(**_CNN)),
    "CNN 64, 80 hidden units": (ns.CNNSpec(**_CNN, hidden_units=64), ns.CNNSpec(**_CNN, hidden_units=80)),
    "ResNet 8, 9 channels": (ns.ResNetSpec(stages=2, blocks=1, width=8), ns.ResNetSpec(stages=2, blocks=1, width=9)),
}


def times_of(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> dict[str, float]:
    x = torch.rand((arguments.inputs, *SHAPE), generator=harness.generator("benchmark", seed=arguments.seed))
    probe = Probe(x, ScoreSpec(estimator="monte_carlo", seeds=1, n_inputs=len(x)), seed=arguments.seed)
    noisy, generator = probe.pair(0)[len(x) :], harness.generator("weights", seed=arguments.seed)
    model = spec.build(SHAPE, CLASSES, generator=generator).eval()

    def forwards() -> None:
        with torch.inference_mode():
            model(x)
            model(noisy)

    functions = {
        "two forward passes": forwards,
        "drawing weights anew": lambda: initialize_(model, "standard_normal", generator=generator),
        "taking weights from common numbers": lambda: initialize_(
            model, "standard_normal", generator=probe.numbers.network(0)
        ),
        "S, weights taken": lambda: score(spec, model, probe),
    }
    in_turns(functions, 1)  # warms up
    times = in_turns(functions, arguments.rounds, clock=time.process_time)
    found = {name: round(min(values) * 1e3, 3) for name, values in times.items()}
    return found | {"S over two passes": round(found["S, weights taken"] / found["two forward passes"], 2)}


def difference(
    pair: tuple[ns.ArchitectureSpec, ns.ArchitectureSpec], arguments: argparse.Namespace
) -> dict[str, float]:
    x = torch.rand((32, 3, 16, 16), generator=harness.generator("benchmark", seed=arguments.seed))
    spec = ScoreSpec(estimator="monte_carlo", seeds=4, n_inputs=32)
    models = [s.blank(x.shape[1:], CLASSES, device="cpu") for s in pair]
    logs = np.empty((2, arguments.repeats))
    for r in range(arguments.repeats):
        probe = Probe(x, spec, seed=r)
        for k in range(2):
            logs[k, r] = score(pair[k], models[k], probe).log10_sensitivity
    # With weights of their own only inputs and noise are shared, which matters little beside: errors add up.
    own = math.sqrt(logs.var(axis=1, ddof=1).sum())
    common = float(np.std(logs[0] - logs[1], ddof=1))
    return {"own": round(own, 4), "common": round(common, 4), "ratio": round(common / own, 2)}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    times = {name: times_of(spec, arguments) for name, spec in list(TIMED.items())[: arguments.n_timed]}
    for name, row in times.items():
        print(name, row)
    differences = {}
    for name, pair in list(PAIRS.items())[: arguments.n_pairs]:
        differences[name] = difference(pair, arguments)
        print(name, differences[name], flush=True)
    ratio = math.exp(np.mean([math.log(row["ratio"]) for row in differences.values()]))
    return {"milliseconds": times, "differences": differences, "geometric_mean_of_ratios": round(ratio, 3)}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=60)
    parser.set_defaults(inputs=128, n_timed=None, n_pairs=None)
    quick = {"rounds": 1, "repeats": 3, "inputs": 16, "n_timed": 1, "n_pairs": 1}
    harness.run(parser, measure, quick=quick, threads=1)
