"""The same figures as still pictures, for readers without scripts and for paper."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...core.compact import compact
from ..figure_style import (
    CONTROL_COLOUR,
    GROUP_STYLES,
    INK,
    MOST_NETWORKS,
    SELECTED_COLOUR,
    add_legend,
    render_svg,
    set_log_axis,
    thinned,
)
from ..numbers_as_text import number
from .drawn import Drawn
from .plots import FRONT, ramp

MOST_STILL = 100  # lines that can be told apart without a pointer


def costs_still(d: Drawn) -> str:
    """Return quality against the first cost, with the Pareto front and the chosen network."""
    cost = d.costs[0]
    x = np.array([n.costs[cost.key] for n in d.networks])
    y = np.array([n.quality for n in d.networks])

    def draw(figure: Figure, axes: Axes) -> None:
        are_many = len(d.networks) > MOST_NETWORKS
        for group, (colour, marker, _) in GROUP_STYLES.items():
            own = np.array([n.group == group for n in d.networks])
            if own.any():
                face = colour if group == "selected" else "none"
                size, width = (8, 0.5) if are_many else (36, 1.2)
                axes.scatter(
                    x[own], y[own], s=size, marker=marker, facecolors=face, edgecolors=colour, linewidths=width,
                    label=group, rasterized=are_many,
                )  # fmt: skip
        places = list(d.fronts[cost.key])
        axes.step(x[places], y[places], where="post", color=FRONT, linewidth=1.5, label="Pareto front")
        axes.scatter(x[:1], y[:1], s=230, marker="*", color="#F0E442", edgecolors=INK, zorder=4, label="chosen")
        axes.set_xlabel(f"{cost.label} (log axis)")
        axes.set_ylabel(d.quality_label)
        set_log_axis(axes, "x", x, to_text=compact if cost.key != "latency" else lambda v: number(v, 3))
        add_legend(figure, axes)

    return render_svg("still-costs", f"Scatter plot of {d.quality.label} against {cost.label}.", draw)


def searched_still(d: Drawn) -> str:
    """Return parallel coordinates over what was searched."""
    shown = thinned(range(len(d.lines)), MOST_STILL)
    colours = ramp(len(shown))

    def draw(_: Figure, axes: Axes) -> None:
        places = [float(i) for i in range(len(d.axes))]
        lines = [[(x, a.places[i]) for x, a in zip(places, d.axes, strict=True)] for i in reversed(shown)]
        widths = [2.4 if i == 0 else 0.9 for i in reversed(shown)]
        axes.add_collection(LineCollection(lines, colors=colours[::-1], linewidths=widths, alpha=0.6))
        for place, a in zip(places, d.axes, strict=True):
            axes.axvline(place, color="#888888", linewidth=0.8)
            for y_tick, text in a.ticks:
                axes.text(place + 0.04, y_tick, text, fontsize=8, va="center")
        axes.set_xticks(places, [a.name for a in d.axes], rotation=30, ha="right", fontsize=9)
        axes.set_xlim(-0.2, len(d.axes) - 0.4)
        axes.set_ylim(-0.05, 1.05)
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)

    return render_svg("still-searched", "Parallel coordinates of what was searched of each trained network.", draw)


def importances_still(d: Drawn) -> str:
    """Return the importance of every parameter as a bar."""
    rows = d.importances[:15][::-1]

    def draw(_: Figure, axes: Axes) -> None:
        shares = np.array([r.share for r in rows])
        bounds = np.array([[max(0.0, r.share - r.low) for r in rows], [max(0.0, r.high - r.share) for r in rows]])
        axes.barh([r.name for r in rows], shares, color=SELECTED_COLOUR, height=0.6, alpha=0.8)
        axes.errorbar(shares, range(len(rows)), xerr=bounds, fmt="none", ecolor="#888888", capsize=3)
        axes.set_xlabel("share of the importance")

    return render_svg("still-importances", "Bars: the importance of each parameter that was searched.", draw)


def best_still(d: Drawn) -> str:
    """Return the best so far over what random networks would have found."""

    def draw(figure: Figure, axes: Axes) -> None:
        if d.band is not None:
            n = np.arange(1, len(d.band.low) + 1)
            axes.fill_between(n, d.band.low, d.band.high, color=CONTROL_COLOUR, alpha=0.2, label="random, 80 %")
            axes.plot(n, d.band.median, color=CONTROL_COLOUR, linestyle="--", label="random, median")
        axes.step(np.arange(1, len(d.best) + 1), d.best, where="post", color=SELECTED_COLOUR, label="selected")
        axes.set_xlabel("trainings")
        axes.set_ylabel(f"best so far: {d.progress_label}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        add_legend(figure, axes)

    return render_svg("still-best", f"Best {d.progress.label} so far against the number of trainings.", draw)


STILLS = {
    "costs": costs_still,
    "searched": searched_still,
    "importances": importances_still,
    "best": best_still,
}
