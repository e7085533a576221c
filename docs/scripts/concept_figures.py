"""The pictures of "Concepts", computed by the package itself when the site is built."""

from __future__ import annotations

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from measured import RESULTS, rows_of
from measured_figures import svg_of

import nas_sens as ns
from nas_sens.selection.outcome_table import read_outcome_table

_BLUE, _ORANGE, _GREY = "#3949ab", "#e07b39", "#aaaaaa"
_SHAPE, _CLASSES, _NOISE = (1, 8, 8), 10, 0.1


def _inputs(n: int) -> torch.Tensor:
    return ns.load_data(ns.DataSpec(name="digits")).x_val[:n]


def _network(depth: int, width: int, seed: int) -> torch.nn.Module:
    spec = ns.FCSpec(depth=depth, width=width, init="standard_normal")
    return spec.build(_SHAPE, _CLASSES, generator=torch.Generator().manual_seed(seed)).eval()


@torch.no_grad()
def noise() -> Figure:
    """Return where two logits of two untrained networks go when noise is added to one input."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained", sharex=True, sharey=True)
    x = _inputs(32)
    for axis, (depth, width) in zip(axes, [(2, 16), (2, 64)], strict=True):
        model = _network(depth, width, seed=1)
        s = ns.output_sensitivity(model, x, noise_std=_NOISE, generator=torch.Generator().manual_seed(3), n_noise=50)
        noisy = x[:1] + _NOISE * torch.randn((400, *_SHAPE), generator=torch.Generator().manual_seed(2))
        change = model(noisy) - model(x[:1])
        axis.scatter(change[:, 0], change[:, 1], s=8, color=_BLUE, alpha=0.5, linewidth=0)
        axis.plot(0, 0, marker="+", color=_ORANGE, markersize=12, markeredgewidth=2)
        axis.set_title(f"{depth} layers of {width} units: S = {s:.3g}", fontsize=10)
        axis.set_xlabel("change of logit 1")
        axis.set_aspect("equal")
    axes[0].set_ylabel("change of logit 2")
    return figure


def closed_form() -> Figure:
    """Return S of drawn networks beside the closed form of their mean."""
    figure, axis = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
    x, widths = _inputs(32), (4, 8, 16, 32, 64, 128, 256)
    for width in widths:
        drawn = [
            ns.output_sensitivity(
                _network(3, width, seed), x, noise_std=_NOISE, generator=torch.Generator().manual_seed(1000 + seed)
            )
            for seed in range(30)
        ]
        axis.scatter(
            [width] * len(drawn),
            [math.log10(s) if s > 0 else math.nan for s in drawn],
            s=10,
            color=_GREY,
            label="one drawn network" if width == widths[0] else None,
        )
    formula = [
        ns.closed_form_sensitivity(ns.FCSpec(depth=3, width=w), x, noise_std=_NOISE, n_outputs=_CLASSES) for w in widths
    ]
    axis.plot(widths, [math.log10(s) for s in formula], color=_BLUE, marker="o", label="closed form of the mean")
    axis.set_xscale("log", base=2)
    axis.set_xlabel("width of three layers")
    axis.set_ylabel("log₁₀ S")
    axis.legend(frameon=False)
    return figure


def sign() -> Figure:
    """Return the error of trained networks against S before training, in two spaces where the sign differs."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    names = {"cifar_flops_band": "CIFAR-10, convolutional of equal FLOPs", "fashion_resnet": "Fashion-MNIST, residual"}
    for axis, (name, title) in zip(axes, names.items(), strict=True):
        table = rows_of(f"trained_{name}")
        axis.scatter(table.log10_sensitivity, 100 * table.val_error, s=12, color=_BLUE, alpha=0.6, linewidth=0)
        rank = table[["log10_sensitivity", "val_error"]].corr(method="spearman").iloc[0, 1]
        axis.set_title(f"{title}\nSpearman {rank:+.2f}".replace("-0", "−0"), fontsize=9)
        axis.set_xlabel("log₁₀ S before training")
    axes[0].set_ylabel("validation error, %")
    return figure


def control() -> Figure:
    """Return what the rule trains beside what chance trains, on a table where all outcomes are known."""
    table = read_outcome_table(
        RESULTS / "trained_quickstart.csv", features=("log10_sensitivity", "log10_params", "log10_flops", "naswot")
    )
    known: dict[str, float] = {}
    while len(known) < 8:
        known |= {
            p.digest: table.outcomes[p.digest] for p in ns.select(table.candidates, known, rule="calibrated", n=2)
        }
    chance = [p.digest for p in ns.select(table.candidates, {}, rule="random", n=8, seed=1)]
    figure, axis = plt.subplots(figsize=(7, 2.4), layout="constrained")
    rows = [
        ("all candidates", list(table.outcomes.values()), _GREY),
        ("control group", [table.outcomes[d] for d in chance], _ORANGE),
        ("selected", list(known.values()), _BLUE),
    ]
    for place, (_, values, color) in enumerate(rows):
        axis.scatter([100 * v for v in values], [place] * len(values), s=26, color=color, alpha=0.6, linewidth=0)
    axis.set_yticks(range(3), [name for name, _, _ in rows])
    axis.set_ylim(-0.5, 2.5)
    axis.set_xlabel("validation error, %")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "noise": noise,
    "closed_form": closed_form,
    "sign": sign,
    "control": control,
}


def figures() -> dict[str, str]:
    """Return the pictures by their path in the site."""
    return {f"assets/concepts/{name}.svg": svg_of(draw()) for name, draw in FIGURES.items()}
