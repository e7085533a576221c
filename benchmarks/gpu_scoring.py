"""The part of `gpu.py` on the time of scores: S against the Jacobian norm, networks stacked, bfloat16."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import torch
from scoring_cost import CLASSES, NETWORKS, SHAPE, stacked
from timing import in_turns

import nas_sens as ns
from nas_sens.core.errors import first_line
from nas_sens.metrics.jacobian_norm import jacobian_norm
from nas_sens.metrics.output_sensitivity import output_noise_statistics
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec

Ways = dict[str, tuple[Callable[[], object], int]]


def ways_of(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> tuple[Ways, Callable[[bool], float]]:
    """Return what is timed, each with the number of networks that it takes, and S by whether it is in bfloat16."""
    device, seed = arguments.device, arguments.seed
    g = harness.generator("gpu scoring", seed=seed, device=device)
    x = torch.rand((arguments.inputs, *SHAPE), generator=g, device=device)
    model = spec.build(SHAPE, CLASSES, generator=g, device=device).eval()
    blank = spec.blank(SHAPE, CLASSES, device=device)

    def probe(k: int) -> Probe:
        return Probe(x, ScoreSpec(estimator="monte_carlo", seeds=k, n_inputs=len(x)), seed=seed)

    one = probe(1)

    @torch.inference_mode()
    def given(is_half: bool) -> torch.Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_half):
            y = model(one.pair(0))
        return output_noise_statistics(y[: len(x)], y[len(x) :], after_softmax=False)

    ways: Ways = {
        "S, network drawn": (lambda: score(spec, blank, one), 1),
        "S, network given": (lambda: given(False), 1),
        "S, network given, bfloat16": (lambda: given(True), 1),
        "J, network given": (lambda: jacobian_norm(model, x), 1),
    }
    for k in arguments.stacks:
        several = probe(k)
        ways[f"S, {k} networks, one after the other"] = (lambda p=several: score(spec, blank, p), k)
        ways[f"S, {k} networks, stacked"] = (lambda p=several: stacked(spec, blank, p), k)
    return ways, lambda is_half: float(given(is_half)[0])


def spread(seconds: list[float], n: int) -> dict[str, float]:
    """Return milliseconds of one network: the median of all rounds, their quartiles and their ends."""
    least, first, median, third, most = np.percentile(np.array(seconds) / n * 1e3, [0, 25, 50, 75, 100])
    values = {"median": median, "quartile_1": first, "quartile_3": third, "least": least, "most": most}
    return {name: round(float(value), 4) for name, value in values.items()}


def table_of(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> dict[str, Any]:
    ways, sensitivity = ways_of(spec, arguments)
    failed: dict[str, str] = {}
    for name, (function, _) in ways.items():
        try:
            function()  # warms up, too
        except RuntimeError as error:  # no memory for it, or no kernel
            failed[name] = first_line(error)
    times = in_turns({w: f for w, (f, _) in ways.items() if w not in failed}, arguments.rounds, device=arguments.device)
    single, half = sensitivity(False), sensitivity(True)
    return {
        "milliseconds_per_network": {way: spread(found, ways[way][1]) for way, found in times.items()},
        "failed": failed,
        "log10_s_of_bfloat16_less_that_of_float32": math.log10(half / single) if min(half, single) > 0 else None,
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the table of every network."""
    tables = {}
    for network in arguments.networks:
        found = table_of(NETWORKS[network], arguments)
        tables[network] = found
        print(f"\n{network}")
        for way, row in found["milliseconds_per_network"].items():
            print(f"  {way:<44}{row['median']:>10.3f} ms ({row['least']:.3f} to {row['most']:.3f})", flush=True)
    return {"by_network": tables, "inputs": arguments.inputs, "rounds": arguments.rounds}
