"""What an epoch of training costs: nas_sens, a plain loop over tensors, a DataLoader, and stacked seeds, side by side.

    python benchmarks/training_speed.py                    # on the CPU, one thread
    python benchmarks/training_speed.py --device cuda

All train the same networks on the same data (digits of 8×8 pixels, MNIST of 28×28; dependencies ship both) with Adam
and batches of 128, and evaluate the validation set after every epoch. They take turns of at least a quarter of a
second, ``--rounds`` times; medians of the seconds an epoch of one network are shown, and of their ratios to nas_sens in
the same turn. "Stacked" trains four seeds at once by torch.func.vmap; its time is divided by four. On the CPU, seconds
are those of the processor, so that other programs on the machine matter little.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import harness
import torch
from timing import in_turns, seconds
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import nas_sens as ns
from nas_sens.training.training_run import TrainingRun

NETWORKS: dict[str, ns.ArchitectureSpec] = {
    "FC 3×100": ns.FCSpec(depth=3, width=100, init="he_normal"),
    "CNN 2×16": ns.CNNSpec(depth=2, channels=16, init="he_normal"),
}
BATCH, STACKED, EVALUATED = 128, 4, 2048
Epoch = Callable[[], object]


def nas_sens_epoch(spec: ns.ArchitectureSpec, splits: ns.Splits, *, seed: int) -> Epoch:
    return TrainingRun(spec, splits, ns.TrainSpec(epochs=1_000_000, batch_size=BATCH), seed=seed).train_epoch


def _validate(model: nn.Module, splits: ns.Splits) -> tuple[float, float]:
    model.eval()
    loss = wrong = 0.0
    with torch.no_grad():
        for xs, ys in zip(splits.x_val.split(EVALUATED), splits.y_val.split(EVALUATED), strict=True):
            logits = model(xs)
            loss += float(functional.cross_entropy(logits, ys, reduction="sum"))
            wrong += float((logits.argmax(1) != ys).sum())
    model.train()
    return loss / len(splits.y_val), wrong / len(splits.y_val)


def plain_epoch(spec: ns.ArchitectureSpec, splits: ns.Splits, *, fused: bool) -> Epoch:
    """As one writes it by hand: tensors, a permutation, Adam."""
    x, y = splits.x_train, splits.y_train
    model = spec.build(splits.input_shape, splits.n_outputs, device=x.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def epoch() -> object:
        total = torch.zeros((), device=x.device)
        for rows in torch.randperm(len(x), device=x.device).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        return float(total) / len(x), _validate(model, splits)

    return epoch


def loader_epoch(spec: ns.ArchitectureSpec, splits: ns.Splits) -> Epoch:
    """With a DataLoader in the same process, as most tutorials have it."""
    x, y = splits.x_train, splits.y_train
    model = spec.build(splits.input_shape, splits.n_outputs, device=x.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(x.cpu(), y.cpu()), batch_size=BATCH, shuffle=True)

    def epoch() -> object:
        total = 0.0
        for xs, ys in loader:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(xs.to(x.device)), ys.to(x.device))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(xs)
        return total / len(x), _validate(model, splits)

    return epoch


def stacked_epoch(spec: ns.ArchitectureSpec, splits: ns.Splits) -> Epoch:
    """Four seeds at once: weights stacked, every seed with batches of its own."""
    x, y = splits.x_train, splits.y_train
    models = [spec.build(splits.input_shape, splits.n_outputs, device=x.device) for _ in range(STACKED)]
    parameters, buffers = stack_module_state(models)
    parameters = {k: p.detach().requires_grad_() for k, p in parameters.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, fused=True)

    def outputs(xs: torch.Tensor, in_dims: int | None) -> torch.Tensor:
        def one(p: dict[str, torch.Tensor], b: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
            return functional_call(models[0], (p, b), (inputs,))

        return vmap(one, in_dims=(0, 0, in_dims))(parameters, buffers, xs)

    def epoch() -> object:
        orders = torch.stack([torch.randperm(len(x), device=x.device) for _ in range(STACKED)])
        total = torch.zeros((), device=x.device)
        for rows in orders.split(BATCH, dim=1):
            logits = outputs(x[rows], 0)
            loss = functional.cross_entropy(logits.flatten(0, 1), y[rows].flatten(), reduction="sum") / rows.shape[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        with torch.no_grad():
            held_out = [outputs(xs, None) for xs in splits.x_val.split(EVALUATED)]
            wrong = (torch.cat(held_out, dim=1).argmax(2) != splits.y_val).sum()
        return float(total), float(wrong)

    return epoch


def seconds_of(spec: ns.ArchitectureSpec, splits: ns.Splits, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Return the seconds of an epoch of one network in every round, by the way of training."""
    ways: dict[str, tuple[Epoch, int]] = {
        "nas_sens": (nas_sens_epoch(spec, splits, seed=arguments.seed), 1),
        "plain loop over tensors": (plain_epoch(spec, splits, fused=False), 1),
        "plain loop over tensors, fused Adam": (plain_epoch(spec, splits, fused=True), 1),
        "DataLoader": (loader_epoch(spec, splits), 1),
        f"stacked, {STACKED} seeds, per seed": (stacked_epoch(spec, splits), STACKED),
    }
    options: dict[str, Any] = {"device": arguments.device, "clock": time.process_time}
    first = [seconds(function, n=2, **options) for function, _ in ways.values()]  # warms up
    n_epochs = max(1, math.ceil(0.25 / statistics.median(first)))
    functions = {way: function for way, (function, _) in ways.items()}
    times = in_turns(functions, arguments.rounds, n=n_epochs, **options)
    return {way: [t / ways[way][1] for t in found] for way, found in times.items()}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return medians of the seconds, and of their ratios to those of nas_sens in the same turn."""
    table: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    for (network, spec), data in itertools.product(NETWORKS.items(), arguments.data):
        name, splits = f"{network} on {data}", ns.load_data(ns.DataSpec(name=data)).to(arguments.device)
        times = seconds_of(spec, splits, arguments)
        table[name] = {way: round(statistics.median(t), 5) for way, t in times.items()}
        ratios[name] = {
            way: round(statistics.median(a / b for a, b in zip(t, times["nas_sens"], strict=True)), 3)
            for way, t in times.items()
        }
        print(f"\n{name}: {len(splits.x_train)} training, {len(splits.x_val)} validation samples")
        for way, value in table[name].items():
            print(f"  {way:<40}{value * 1e3:>9.1f} ms an epoch{ratios[name][way]:>8.2f} ×")
    return {
        "seconds_per_epoch_and_network": table,
        "median_ratio_to_nas_sens": ratios,
        "rounds": arguments.rounds,
        "batch_size": BATCH,
    }


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--device", type=torch.device, default=harness.CPU)
    parser.add_argument("--rounds", type=int, default=15)
    parser.set_defaults(data=("digits", "mnist5k"))
    harness.run(parser, measure, quick={"rounds": 1, "data": ("digits",)}, threads=1)  # more do not help such networks
