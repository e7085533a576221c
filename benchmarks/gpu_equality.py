"""The part of `gpu.py` on equality: the same networks, inputs and noise on the CPU and on the device.

Weights and noise are drawn on the CPU and copied, since streams of the same seed differ from device to device; scores
that each device draws by itself are compared too, in units of their standard errors. Trainings take the whole set as
one batch, whose order does not matter, without momentum, which would carry the rounding of tiny gradients on.
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import harness
import torch
from torch import nn

import nas_sens as ns
from nas_sens.architectures import count_params
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.declarations import bundled
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.metrics.output_sensitivity import output_noise_statistics
from nas_sens.scoring.probe import Probe
from nas_sens.scoring.score import Score, score
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import SearchSpace, load_space
from nas_sens.training.training_run import TrainingRun

# Largest differences, of log10 S and of the loss relative to its size, that rounding explains.
TOLERANCES = {"float64": 1e-9, "float32": 1e-3, "float32 with TF32": 3e-2, "val_loss": 1e-3, "closed_form": 0.0}
STANDARD_ERRORS = 5.0  # for scores of which each device drew its own networks
EPOCHS = 2


@contextmanager
def tf32(is_on: bool) -> Iterator[None]:
    """Let products of matrices and convolutions on CUDA have 10 bits of mantissa, or all 23."""
    modules = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [m.allow_tf32 for m in modules]
    try:
        for m in modules:
            m.allow_tf32 = is_on
        yield
    finally:
        for m, value in zip(modules, before, strict=True):
            m.allow_tf32 = value


def candidates(splits: ns.Splits, arguments: argparse.Namespace) -> dict[str, list[ns.ArchitectureSpec]]:
    """Return random candidates of every family of the bundled spaces that fit the data, and are not too large."""
    spaces: dict[str, SearchSpace] = {}
    for name in bundled("search_spaces"):
        space = load_space(name)
        for family in space.families:
            spaces.setdefault(family, space)
    found: dict[str, list[ns.ArchitectureSpec]] = {family: [] for family in spaces}
    for family, space in spaces.items():
        for i in range(20 * arguments.candidates):
            spec = space.sample(seed=1000 * arguments.seed + i)
            if spec.family == family and _fits(spec, splits, arguments.most_params) and spec not in found[family]:
                found[family].append(spec)
            if len(found[family]) == arguments.candidates:
                break
    return found


def _fits(spec: ns.ArchitectureSpec, splits: ns.Splits, most_params: int) -> bool:
    try:
        return count_params(spec.skeleton(splits.input_shape, splits.n_outputs)) <= most_params
    except InfeasibleArchitectureError:
        return False


def log10_sensitivity(model: nn.Module, pair: torch.Tensor) -> float:
    n = len(pair) // 2
    with torch.inference_mode():
        y = model.eval()(pair)
        s = float(output_noise_statistics(y[:n], y[n:], after_softmax=False)[0])
    return math.log10(s) if s > 0 else -math.inf


def given_networks(spec: ns.ArchitectureSpec, splits: ns.Splits, probe: Probe, device: torch.device) -> dict[str, Any]:
    """Return |Δ log10 S| of one network under one noise, by the type that is computed in."""
    model = spec.blank(splits.input_shape, splits.n_outputs, device="cpu")
    initialize_(model, "he_normal", generator=harness.generator("equality", spec.digest, seed=probe.seed))
    pair, differences = probe.pair(0), {}
    for name, dtype, is_fast in (
        ("float64", torch.float64, False),
        ("float32", torch.float32, False),
        ("float32 with TF32", torch.float32, True),
    ):
        here = model.to(dtype)
        with tf32(is_fast):
            there = log10_sensitivity(copy.deepcopy(here).to(device), pair.to(device, dtype))
        differences[name] = _distance(there, log10_sensitivity(here, pair.to(dtype)))
    return differences


def _distance(a: float | None, b: float | None) -> float:
    """Return |a − b|, 0 for equal ones, be they infinite or None."""
    return 0.0 if a == b else math.inf if a is None or b is None else abs(a - b)


def scores(spec: ns.ArchitectureSpec, splits: ns.Splits, x: torch.Tensor, device: torch.device, *, seed: int) -> Any:
    """Return |Δ log10 S| of the closed form, None without one, and of sampled scores in standard errors."""

    def scored(estimator: Any, where: torch.device) -> Score:
        model = spec.blank(splits.input_shape, splits.n_outputs, device=where)
        return score(spec, model, Probe(x.to(where), ScoreSpec(estimator=estimator, seeds=8), seed=seed))

    closed = [scored("closed_form", where).log10_sensitivity for where in (harness.CPU, device)]
    here, there = (scored("monte_carlo", where) for where in (harness.CPU, device))
    if here.stderr is None or there.stderr is None:
        sampled = _distance(here.log10_sensitivity, there.log10_sensitivity)
    else:
        error = math.hypot(here.stderr, there.stderr)
        distance = _distance(here.log10_sensitivity, there.log10_sensitivity)
        sampled = distance / error if error else distance
    return (None if closed[0] is None else _distance(*closed)), sampled


def validation_losses(spec: ns.ArchitectureSpec, splits: ns.Splits, device: torch.device, *, seed: int) -> list[float]:
    """Return the losses after two epochs from the same weights on the CPU and on the device."""
    declared = ns.TrainSpec(epochs=EPOCHS, optimizer="sgd", learning_rate=1e-3, batch_size="full")
    runs = [TrainingRun(spec, splits.to(where), declared, seed=seed) for where in (harness.CPU, device)]
    runs[1].model.load_state_dict(runs[0].model.state_dict())
    with tf32(False):
        for run in runs:
            while not run.is_over:
                run.train_epoch()
    return [run.curves["val_loss"][-1] if run.curves["val_loss"] else math.nan for run in runs]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the largest differences of every family, and those that rounding does not explain."""
    n = arguments.samples
    splits = ns.load_data(ns.DataSpec(name="mnist5k", train_samples=n, val_samples=n, test_samples=n))
    x, device, seed = splits.x_val[: arguments.inputs], arguments.device, arguments.seed
    probe = Probe(x, ScoreSpec(estimator="monte_carlo"), seed=seed)
    families: dict[str, Any] = {}
    unequal: list[str] = []
    for family, specs in candidates(splits, arguments).items():
        rows: dict[str, list[float]] = {}
        for spec in specs:
            for name, value in given_networks(spec, splits, probe, device).items():
                rows.setdefault(name, []).append(value)
            closed, sampled = scores(spec, splits, x, device, seed=seed)
            rows.setdefault("drawn_on_each_in_standard_errors", []).append(sampled)
            if closed is not None:
                rows.setdefault("closed_form", []).append(closed)
        for spec in specs[:2]:
            here, there = validation_losses(spec, splits, device, seed=seed)
            rows.setdefault("val_loss", []).append(_distance(here, there) / max(1.0, abs(here)))
        families[family] = {"candidates": len(specs), **{name: max(values) for name, values in rows.items()}}
        print(f"  {family:<10}", {k: float(f"{v:.2g}") for k, v in families[family].items()}, flush=True)
        limits = TOLERANCES | {"drawn_on_each_in_standard_errors": STANDARD_ERRORS}
        unequal += [f"{family}: {k} {v:.3g}" for k, v in families[family].items() if k in limits and not v <= limits[k]]
    print("differences that rounding does not explain:", unequal or "none")
    return {"largest_difference_by_family": families, "tolerances": TOLERANCES, "unequal": unequal}
