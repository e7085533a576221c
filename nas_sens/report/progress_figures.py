"""Figures of how training and the search went on, as inline SVG; pure and deterministic as those of `figures`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..core.candidates import TrainedCandidate
from ..core.figures import Objective
from ..statistics.correlations import as_floats, best_so_far
from .figure_style import (
    GROUP_STYLES,
    MAX_VECTOR_POINTS,
    MOST_CURVES,
    MOST_NETWORKS,
    add_legend,
    render_svg,
    thinned,
)
from .figures import Quantity, set_axis
from .shown_figures import ShownFigure
from .text import ranked


def curves_figure(
    key: str,
    trained: Sequence[TrainedCandidate],
    *,
    by: Objective,
    figure: ShownFigure,
    axis: Quantity,
    step: str,
    description: str,
) -> str | None:
    """Return a figure after each epoch of all networks that have its curve, the best by ``by`` emphasised.

    A loss has a logarithmic axis. Networks whose curve is of another figure are left out.

    Of more than ``MOST_CURVES`` curves so many are drawn, evenly spread over the ranking and the pruned ones behind it.
    """
    having = [t for t in trained if t.curve and t.curve_of == figure.key]
    drawn = [(t, curve) for t in _spread(having, by) if np.isfinite(curve := _drawable(t.curve, axis)).any()]
    if not drawn:
        return None
    best = next(iter(ranked(trained, by)), None)
    n_values = sum(len(curve) for _, curve in drawn)
    labels = {group: group for group in GROUP_STYLES}

    def draw(picture: Figure, axes: Axes) -> None:
        for t, curve in drawn:
            colour, _, dashes = GROUP_STYLES[t.group]
            axes.plot(
                np.arange(1, len(curve) + 1),
                curve,
                color=colour,
                linestyle=dashes,
                linewidth=2.6 if t is best else 1.0,
                alpha=1.0 if t is best else 0.6,
                marker="o" if len(curve) == 1 else None,
                zorder=3 if t is best else 2,
                rasterized=n_values > 10 * MAX_VECTOR_POINTS,
                label=labels.pop(t.group, None),
            )
        axes.set_xlabel(step)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        values = np.concatenate([curve[np.isfinite(curve)] for _, curve in drawn])
        set_axis(axes, "y", axis, values)
        add_legend(picture, axes)

    return render_svg(key, description, draw)


def _spread(having: Sequence[TrainedCandidate], by: Objective) -> Sequence[TrainedCandidate]:
    """Return the networks whose curves are drawn."""
    if len(having) <= MOST_CURVES:
        return having
    ranking = ranked(having, by)
    there = {t.digest for t in ranking}
    return thinned([*ranking, *(t for t in having if t.digest not in there)], MOST_CURVES)


def best_so_far_figure(
    key: str, trained: Sequence[TrainedCandidate], *, figure: ShownFigure, axis: Quantity, description: str
) -> str | None:
    """Return the best of a figure found so far against the number of networks trained, per group."""
    sign = -1.0 if figure.is_maximized else 1.0
    in_order = sorted(trained, key=lambda t: (t.number is None, t.number or 0))
    series = {}
    for group in GROUP_STYLES:
        members = [t for t in in_order if t.group == group]
        values = as_floats([axis.get(t) if t.is_ok else None for t in members])
        best = sign * best_so_far(sign * _drawable(values, axis))
        if np.isfinite(best).any():
            series[group] = best
    if not series:
        return None

    def draw(picture: Figure, axes: Axes) -> None:
        for group, best in series.items():
            colour, marker, dashes = GROUP_STYLES[group]
            places = np.arange(len(best))
            if len(best) > MOST_NETWORKS:  # the ends of the steps are the whole line
                places = np.flatnonzero(np.append(True, best[1:] != best[:-1]) | (places == len(best) - 1))
            axes.step(
                places + 1,
                best[places],
                where="post",
                color=colour,
                linestyle=dashes,
                marker=marker,
                markersize=5 if len(best) <= 50 else 0,
                label=group,
            )
        axes.set_xlabel("networks trained in the group")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        values = np.concatenate([best[np.isfinite(best)] for best in series.values()])
        name = f"best {figure.label} so far"
        set_axis(axes, "y", replace(axis, label=axis.label.replace(figure.label, name, 1)), values)
        add_legend(picture, axes)

    return render_svg(key, description, draw)


def _drawable(values: Iterable[float], axis: Quantity) -> np.ndarray:
    """Return the values in the axis' unit, NaN where it cannot show them."""
    array = axis.scale * np.array(list(values), dtype=np.float64)
    array[~(np.isfinite(array) & ((array > 0) | (not axis.is_log)))] = np.nan
    return array
