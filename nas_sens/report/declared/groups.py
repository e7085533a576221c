"""Groups of trained networks by a parameter, their colours and markers, and axes that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from ...core.candidates import TrainedCandidate
from ...results.quantities import value_of
from ..figure_style import INK, MOST_NETWORKS, thinned
from ..figures import FAMILY_COLOURS, FAMILY_MARKERS
from ..quantity_labels import label_of
from ..text import Wording

_MOST_LABELS = 6  # of groups that are a scale


def grouped(trained: Sequence[TrainedCandidate], name: str) -> dict[Any, list[int]]:
    """Return the values of a parameter, in order, and the places of the networks that have them.

    Args:
        trained: The networks.
        name: The parameter; "" puts all into one group.
    """
    places: dict[Any, list[int]] = {}
    for i, t in enumerate(trained):
        places.setdefault(value_of(t, name) if name else "", []).append(i)
    # Networks of another family lack the parameter; texts and numbers have no common order.
    return {v: places[v] for v in sorted(places, key=lambda v: (v is not None, isinstance(v, str), v or 0))}


def style_of(place: int, level: Any, levels: Sequence[Any]) -> tuple[Any, str]:
    """Return colour and marker of a group: numbers on a scale from dark to light, all else in distinct colours.

    Both can be told apart by people who see few colours (viridis; Okabe and Ito), and in grey by the markers.

    Args:
        place: Its place among the groups.
        level: Its value.
        levels: All values.
    """
    marker = FAMILY_MARKERS[place % len(FAMILY_MARKERS)]
    is_scale = len(levels) > 2 and isinstance(level, (int, float)) and not isinstance(level, bool)
    if is_scale:
        return matplotlib.colormaps["viridis"](0.95 * place / (len(levels) - 1)), marker
    return FAMILY_COLOURS[(4, 6, 2, 3, 0, 1, 7, 5)[place % 8]], marker


def level_text(level: Any) -> str:
    """Return the value of a parameter as it is declared: ``true``, not ``True``."""
    return str(level).lower() if isinstance(level, bool) else "none" if level is None else str(level)


def group_label(name: str, level: Any, wording: Wording) -> str:
    """Return what a legend says of a group: the parameter and its value."""
    return f"{label_of(name, wording)} {level_text(level)}"


def draw_points(
    axes: Axes,
    xs: np.ndarray,
    ys: np.ndarray,
    trained: Sequence[TrainedCandidate],
    group: str,
    wording: Wording,
    *,
    label: str | None = None,
) -> None:
    """Draw points in the colours and markers of their groups.

    Args:
        axes: Where.
        xs: Shape (n,).
        ys: Shape (n,).
        trained: The network of each point.
        group: Parameter by which points are told apart; "" for one group.
        wording: What losses and errors are called.
        label: What the legend says of points that are one group; None for nothing.
    """
    groups = grouped(trained, group)
    levels = list(groups)
    if len(levels) > MOST_NETWORKS:
        _draw_on_a_scale(axes, xs, ys, groups, group, wording)
        return
    for i, (level, members) in enumerate(groups.items()):
        colour, marker = style_of(i, level, levels)
        axes.scatter(
            xs[members],
            ys[members],
            s=40,
            color=colour,
            marker=marker,
            edgecolors=INK,
            linewidths=0.4,
            label=group_label(group, level, wording) if group else label,
            zorder=3,
            rasterized=len(xs) > MOST_NETWORKS,
        )


def _draw_on_a_scale(
    axes: Axes, xs: np.ndarray, ys: np.ndarray, groups: Mapping[Any, Sequence[int]], group: str, wording: Wording
) -> None:
    """Draw points of hundreds of groups, as those of a real-valued parameter, at once; the legend has a few of them."""
    levels = list(groups)
    colours = {level: style_of(i, level, levels)[0] for i, level in enumerate(levels)}
    order = [i for members in groups.values() for i in members]
    each = [colours[level] for level, members in groups.items() for _ in members]
    axes.scatter(xs[order], ys[order], s=20, c=each, linewidths=0, zorder=3, rasterized=True)
    for level in thinned(levels, _MOST_LABELS):
        axes.scatter([], [], s=40, color=colours[level], label=group_label(group, level, wording))


def plain_ticks(axes: Axes) -> None:
    """Give linear axes at most six ticks, each written as a whole number of its own."""
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(6))
            axis.set_major_formatter(ScalarFormatter(useOffset=False))
