"""What each measure costs, beside the straightforward way of computing it, in turns in one run.

    python benchmarks/measure_cost.py                      # under four minutes on one core

Milliseconds per candidate for 64 inputs of 3 × 32 × 32 and 10 classes (`linear_regions`: 2 images), the least of
``--rounds`` turns, fewer of what takes long, after one to warm up: other work on the machine only adds to it. Of equal
work the ratio comes out between some 0.95 and 1.05. "Straightforward" is `public_measures.py`; values of both are
compared, where nothing is drawn.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import harness
import public_measures
import torch
from timing import seconds
from torch import nn

import nas_sens as ns
from nas_sens.metrics import metrics

SHAPE, CLASSES = (3, 32, 32), 10
NETWORKS: dict[str, ns.ArchitectureSpec] = {
    "FC 4×300": ns.FCSpec(depth=4, width=300, init="he_normal"),
    "CNN 4 conv + 300": ns.CNNSpec(depth=4, channels=16, kernel=3, hidden_units=300, init="he_normal"),
    "ResNet-14, 16 channels": ns.ResNetSpec(stages=3, blocks=2, width=16, batch_norm=True),
}
DRAWN = {"zen", "near", "output_sensitivity"}
# A sign of a product near 0 is rounding, and so is 1/σ of the smallest eigenvalues, which float32 gradients leave.
TOLERANCE = dict.fromkeys(("stiffness", "critical_length"), 2e-2) | {"jacob_cov": 5e-2, "ntk_condition": 2e-2}
NOTES = {
    "l2_norm": "slower by tenths of a millisecond: the straightforward sum in float32 is off from the fifth digit on",
    "ntk_condition": "inf where the smallest eigenvalue is below what rounding of float32 gradients leaves of a zero",
    "output_sensitivity, params": "the same work in both, and equal times but for noise",
}
TURN_SECONDS = 2.5  # for all turns of one of both ways, unless one takes longer
Pair = tuple[Callable[[], float], Callable[[], float]]


def pairs_for(model: nn.Module, *, n: int, seed: int) -> dict[str, Pair]:
    """Return ours and the straightforward way of every measure, on the same ``n`` inputs."""
    g = harness.generator("benchmark", seed=seed)
    x = torch.rand((n, *SHAPE), generator=g)
    y = torch.randint(CLASSES, (n,), generator=g)
    draws = harness.generator("draws", seed=seed)

    def pair(name: str) -> Pair:
        ours, theirs = metrics()[name].function, getattr(public_measures, name)
        few = slice(None) if name != "linear_regions" else slice(2)  # it takes 256 passes for each
        return lambda: ours(model, x[few], y[few], generator=draws), lambda: theirs(model, x[few], y[few])

    return {name: pair(name) for name in metrics() if hasattr(public_measures, name)}


def compare(pair: Pair, rounds: int) -> dict[str, Any]:
    """Return milliseconds of both, their ratio, and both values."""
    values: list[float] = []
    slowest = max(seconds(lambda f=f: values.append(f())) for f in pair)  # warms up, too
    times: list[list[float]] = [[], []]
    for i in range(max(1, min(rounds, int(TURN_SECONDS / slowest)))):
        for k in ((0, 1), (1, 0))[i % 2]:  # neither always comes first
            times[k].append(seconds(pair[k]))
    ours, theirs = (min(t) * 1e3 for t in times)
    return {
        "ours_ms": round(ours, 3),
        "straightforward_ms": round(theirs, 3),
        "times_faster": round(theirs / ours, 2),
        "values": [float(f"{value:.6g}") for value in values],
    }


def table_of(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the comparison of every measure by network and name."""
    table: dict[str, dict[str, Any]] = {}
    for network in arguments.networks:
        weights = harness.generator("weights", seed=arguments.seed)
        model = NETWORKS[network].build(SHAPE, CLASSES, generator=weights).eval()
        print(f"\n{network} ({sum(p.numel() for p in model.parameters()):,} parameters)")
        table[network] = {}
        for name, pair in pairs_for(model, n=arguments.n, seed=arguments.seed).items():
            if arguments.only in (None, name):
                row = table[network][name] = compare(pair, arguments.rounds)
                print(
                    f"  {name:<20}{row['ours_ms']:>11.3f} ms{row['straightforward_ms']:>11.3f} ms"
                    f"{row['times_faster']:>8.2f} ×  {row['values']}",
                    flush=True,
                )
    return table


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return the table, and in words where the straightforward way is faster or has another value."""
    began = time.perf_counter()
    table = table_of(arguments)
    slower, disagree = [], []
    for network, rows in table.items():
        for name, row in rows.items():
            if row["times_faster"] < 1:
                slower.append(f"{name}, {network}: {row['times_faster']}")
            if name not in DRAWN and not math.isclose(*row["values"], rel_tol=TOLERANCE.get(name, 1e-3)):
                disagree.append(f"{name}, {network}: {row['values']}")
    print("\nslower than the straightforward way:", slower or "none")
    print("values that differ:", disagree or "none")
    if arguments.only:
        return None
    return {
        "inputs": arguments.n,
        "rounds": arguments.rounds,
        "table": table,
        "slower_than_straightforward": slower,
        "values_that_differ": disagree,
        "notes": NOTES,
        "run_seconds": round(time.perf_counter() - began, 1),
    }


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", help="one measure; nothing is written")
    parser.set_defaults(n=64, networks=list(NETWORKS))
    harness.run(parser, measure, quick={"rounds": 1, "n": 8, "networks": ["FC 4×300"]}, threads=1)
