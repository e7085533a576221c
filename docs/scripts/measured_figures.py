"""Figures of "How good is it", drawn from ``benchmarks/results`` when the site is built."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from measured import NETWORKS, PUBLISHED, TABLES, measured, rows_of

CURVES = {
    "calibrated": ("calibrated", "#3949ab"),
    "tpe": ("TPE", "#e07b39"),
    "evolution": ("evolution", "#7a9e3d"),
    "random": ("random", "#888888"),
}
matplotlib.rcParams |= {
    "svg.hashsalt": "nas_sens",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def search_curves() -> Figure:
    """Return a panel a table: percent of candidates that are better than the best one found, against trainings."""
    names = {**TABLES, **PUBLISHED}
    figure, axes = plt.subplots(5, 3, figsize=(10, 12), sharex=True, layout="constrained")
    rows = rows_of("search_quality")
    for axis, (name, text) in zip(axes.flat, names.items(), strict=True):
        for rule, (label, color) in CURVES.items():
            found = rows[(rows.table == name) & (rows.rule == rule)].sort_values("budget")
            axis.plot(found.budget, found.percentile, color=color, label=label, marker="o", markersize=3)
            axis.fill_between(
                found.budget, found.percentile_low, found.percentile_high, color=color, alpha=0.15, linewidth=0
            )
        axis.set_title(text, fontsize=9)
        axis.set_xscale("log", base=2)
        axis.set_xticks([5, 10, 20, 40, 80], ["5", "10", "20", "40", "80"])
        axis.set_ylim(bottom=0)
    axes[0, 0].legend(frameon=False)
    figure.supxlabel("trainings")
    figure.supylabel("candidates that are better than the best one found, %")
    return figure


def cost_bars() -> Figure:
    """Return what measures cost, as multiples of two bare forward passes."""
    labels = {
        "S, closed form, alone": "S, closed form",
        "S, Monte Carlo, one network drawn": "S, network drawn",
        "NASWOT": "NASWOT",
        "SynFlow": "SynFlow",
        "SNIP": "SNIP",
        "softmax Jacobian, 10 backward passes": "Jacobian",
    }
    found = measured("scoring_cost", "milliseconds_per_candidate")
    figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
    for place, name in enumerate(NETWORKS):
        values = [
            (i, found[name][key] / found[name]["two forward passes"])
            for i, key in enumerate(labels)
            if key in found[name]
        ]
        axis.bar([i + 0.2 * (place - 1.5) for i, _ in values], [v for _, v in values], width=0.18, label=name)
    axis.axhline(1, color="#888888", linewidth=0.8)
    axis.set_yscale("log")
    axis.set_xticks(range(len(labels)), list(labels.values()))
    axis.set_ylabel("cost in pairs of forward passes")
    axis.legend(frameon=False)
    return figure


def closed_form() -> Figure:
    """Return the mean S of many drawn networks divided by the closed form, against the width."""
    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    rows = measured("closed_form_accuracy", "finite_width")
    for noise in dict.fromkeys(row["noise_std"] for row in rows):
        own = [row for row in rows if row["noise_std"] == noise]
        spread = [[r["ratio"] - r["interval"][0] for r in own], [r["interval"][1] - r["ratio"] for r in own]]
        axis.errorbar(
            [r["width"] for r in own],
            [r["ratio"] for r in own],
            yerr=spread,
            marker="o",
            capsize=2,
            label=f"noise {noise}",
        )
    axis.axhline(1, color="#888888", linewidth=0.8)
    axis.set_xscale("log", base=2)
    axis.set_xlabel("width")
    axis.set_ylabel("mean S of networks / closed form")
    axis.legend(frameon=False)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "search_curves": search_curves,
    "cost": cost_bars,
    "closed_form": closed_form,
}


def svg_of(figure: Figure) -> str:
    """Return a figure as SVG, the same for the same figure."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    return file.getvalue()


def figures() -> dict[str, str]:
    """Return the figures by their path in the site."""
    return {f"assets/measured/{name}.svg": svg_of(draw()) for name, draw in FIGURES.items()}
