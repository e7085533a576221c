"""What a score costs: sensitivity beside other training-free measures, side by side on the same networks and inputs.

    python benchmarks/scoring_cost.py                    # on the CPU
    python benchmarks/scoring_cost.py --device cuda      # the same with CUDA events, and the same table

All are timed in turns, ``--rounds`` times (those above 2 s once); the median is taken: per candidate, for 128 inputs of
3 × 32 × 32 and 10 classes. "Two forward passes" is the floor of Monte Carlo: the batch with and without noise through a
network that is there already.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import harness
import public_measures
import torch
from timing import in_turns, seconds
from torch import nn

import nas_sens as ns
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.identity import make_generator
from nas_sens.metrics.closed_form.expectation import (
    InputMoments,
    NoClosedFormError,
    closed_form,
    closed_form_batch,
    is_batched,
)
from nas_sens.metrics.grad_norm import grad_norm
from nas_sens.metrics.jacobian_norm import jacobian_norm
from nas_sens.metrics.naswot import naswot
from nas_sens.metrics.output_sensitivity import output_noise_statistics
from nas_sens.metrics.snip import snip
from nas_sens.metrics.synflow import synflow
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import score
from nas_sens.study.score_spec import ScoreSpec

SHAPE, CLASSES = (3, 32, 32), 10
NETWORKS: dict[str, ns.ArchitectureSpec] = {
    "FC 4×300": ns.FCSpec(depth=4, width=300),
    "FC 6×100": ns.FCSpec(depth=6, width=100),
    "CNN 4 conv + 300": ns.CNNSpec(depth=4, channels=16, kernel=3, hidden_units=300),
    "ResNet-18": ns.ResNetSpec(stages=4, blocks=2, width=64),
}


def stacked(spec: ns.ArchitectureSpec, model: nn.Module, probe: Probe) -> list[float]:
    """S of several networks in one call: weights drawn into one tensor each, torch.func over the stack."""
    n, size = probe.spec.seeds, probe.n_inputs
    weights = {k: torch.empty((n, *p.shape), device=p.device) for k, p in model.named_parameters()}
    with torch.inference_mode():
        for i in range(n):
            g = make_generator("probe", spec.digest, probe.seed, i, device=probe.device)
            for tensor in weights.values():
                tensor[i].normal_(generator=g)
        pairs = torch.stack([probe.pair(i) for i in range(n)])
        y = torch.func.vmap(lambda w, x: torch.func.functional_call(model, w, (x,)))(weights, pairs)
        return (y[:, size:].double() - y[:, :size].double()).mean(dim=2).var(dim=1).tolist()


def measures_of(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> dict[str, Callable[[], object]]:
    device, n, seed = arguments.device, arguments.inputs, arguments.seed
    g = harness.generator("benchmark", seed=seed, device=device)
    x = torch.rand((n, *SHAPE), generator=g, device=device)
    y = torch.randint(CLASSES, (n,), generator=g, device=device)
    noisy = x + 0.1 * torch.randn(x.shape, generator=g, device=device)
    model = spec.build(SHAPE, CLASSES, generator=g, device=device).eval()
    probe_model = spec.build(SHAPE, CLASSES, generator=g, device=device).eval()
    one = Probe(x, ScoreSpec(estimator="monte_carlo", seeds=1, n_inputs=n), seed=seed)
    precise = ScoreSpec(estimator="monte_carlo", seeds=4, n_inputs=n, precision=0.05 / 2.302585, max_seeds=64)
    precise_probe = Probe(x, precise, seed=seed)
    eight = Probe(x, ScoreSpec(estimator="monte_carlo", seeds=8, n_inputs=n), seed=seed)
    moments = InputMoments.from_inputs(x, 0.1, n_inputs=16, n_pairs=8)

    def forwards() -> None:
        with torch.inference_mode():
            model(x)
            model(noisy)

    def given_network() -> None:
        with torch.inference_mode():
            one.statistics(model, 0)

    def unbatched() -> None:
        with torch.inference_mode():
            output_noise_statistics(model(x), model(noisy), after_softmax=False)

    measures: dict[str, Callable[[], object]] = {
        "two forward passes": forwards,
        "S, Monte Carlo, network given": given_network,
        "S, Monte Carlo, two passes instead of one": unbatched,
        "drawing the weights": lambda: initialize_(probe_model, "standard_normal", generator=g),
        "S, Monte Carlo, one network drawn": lambda: score(spec, probe_model, one),
        "S, Monte Carlo, 5 % standard error, at most 64": lambda: score(spec, probe_model, precise_probe),
        "S, 8 networks, one after the other": lambda: score(spec, probe_model, eight),
        "S, 8 networks, stacked by torch.func": lambda: stacked(spec, probe_model, eight),
        "softmax Jacobian, 10 backward passes": lambda: public_measures.jacobian_norm(model, x, y),
        "softmax Jacobian, nas_sens": lambda: jacobian_norm(model, x),
        "NASWOT": lambda: naswot(model, x),
        "SynFlow": lambda: synflow(model, x),
        "grad-norm": lambda: grad_norm(model, x, y),
        "SNIP": lambda: snip(model, x, y),
    }
    try:
        closed_form(spec, moments, n_outputs=CLASSES)
        measures["S, closed form, alone"] = lambda: closed_form(spec, moments, n_outputs=CLASSES)
    except NoClosedFormError:
        pass
    return measures


def batch_of_closed_forms(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> float:
    """Return milliseconds per candidate of different ones of the family computed together; the best of three."""
    n = arguments.batch
    x = torch.rand((arguments.inputs, *SHAPE), generator=harness.generator("benchmark", seed=arguments.seed))
    moments = InputMoments.from_inputs(x, 0.1, n_inputs=16, n_pairs=8)
    candidates: list[Any]
    if isinstance(spec, ns.FCSpec):
        candidates = [ns.FCSpec(depth=1 + i % 8, width=16 + i) for i in range(n)]
        assert all(map(is_batched, candidates))
    else:
        candidates = [
            ns.CNNSpec(depth=1 + i % 4, channels=4 + i % 60, kernel=3, hidden_units=300 * (i % 2)) for i in range(n)
        ]
    times = (seconds(lambda: closed_form_batch(candidates, moments, n_outputs=CLASSES)) for _ in range(3))
    return min(times) / n * 1e3


def closed_forms_of_batches(arguments: argparse.Namespace) -> dict[str, float]:
    batches = {n: round(batch_of_closed_forms(NETWORKS[n], arguments), 4) for n in arguments.networks if "Res" not in n}
    print(f"\nclosed form in a batch of {arguments.batch:,} candidates, ms each:", batches)
    return batches


def milliseconds_of(spec: ns.ArchitectureSpec, arguments: argparse.Namespace) -> dict[str, float]:
    """Return the median time of every measure; what takes 2 s or more is measured once."""
    measures = measures_of(spec, arguments)
    first = {m: seconds(f, arguments.device) for m, f in measures.items()}  # warms up, too
    fast = {m: f for m, f in measures.items() if first[m] < 2}
    times = {m: [t] for m, t in first.items()} | in_turns(fast, arguments.rounds, device=arguments.device)
    return {m: round(statistics.median(t) * 1e3, 4) for m, t in times.items()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the table, or with ``--batches`` the earlier result with this part anew."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    part = "closed_form_in_a_batch_ms_per_candidate"
    if arguments.batches:
        earlier = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
        return earlier | {part: closed_forms_of_batches(arguments)}
    table: dict[str, dict[str, float]] = {}
    for name in arguments.networks:
        spec = NETWORKS[name]
        table[name] = milliseconds_of(spec, arguments)
        print(f"\n{name} ({sum(p.numel() for p in spec.skeleton(SHAPE, CLASSES).parameters()):,} parameters)")
        for title, value in table[name].items():
            print(f"  {title:<44}{value:>10.3f} ms{value / table[name]['two forward passes']:>9.2f} ×")
    batches = closed_forms_of_batches(arguments)
    return {"milliseconds_per_candidate": table, part: batches, "rounds": arguments.rounds}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--device", type=torch.device, default=harness.CPU)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", action="store_true", help="measure only closed forms of batches, anew")
    parser.add_argument("--threads", type=int, help="PyTorch's threads; its own choice if left out")
    parser.set_defaults(networks=list(NETWORKS), inputs=128, batch=1000)
    small = {"rounds": 1, "networks": ["FC 6×100"], "inputs": 16, "batch": 20}
    harness.run(parser, measure, quick=small)
