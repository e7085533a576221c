"""Figures of the report as inline SVG: one panel per picture, so that a page can put them side by side or in a column.

Every function is pure and deterministic (fixed hash salt, no date) and returns None where there is nothing to draw.
Numbers come in the units of the records: sensitivities as log10, losses as they are, errors as fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..core.candidates import Group, ScoredCandidate, TrainedCandidate, family_of
from ..core.compact import compact
from ..core.figures import BY_NAME, sd_name
from .figure_style import (
    GROUP_STYLES,
    INK,
    MAX_VECTOR_POINTS,
    MOST_NETWORKS,
    add_legend,
    render_svg,
    set_log_axis,
    thinned,
)
from .numbers_as_text import number
from .shown_figures import ShownFigure
from .text import Wording

FAMILY_COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#F0E442", "#D55E00", "#999999")
FAMILY_MARKERS = "osD^vP*X"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One axis: a label, a value per trained candidate and whether the axis is logarithmic.

    Attributes:
        label: What the axis shows, with its unit.
        get: A candidate's value; None where it has none.
        get_sd: Its standard deviation over seeds.
        is_log: Whether the axis is logarithmic.
        scale: Factor from the record's unit to the label's.
        to_text: Writes a tick's value on a logarithmic axis.
        has_zero: Whether nothing is below zero, where bars then end.
    """

    label: str
    get: Callable[[TrainedCandidate], float | None]
    get_sd: Callable[[TrainedCandidate], float | None] = lambda _: None
    is_log: bool = False
    scale: float = 1.0
    to_text: Callable[[float], str] = lambda value: number(value, 3)
    has_zero: bool = True

    def values(self, trained: Sequence[TrainedCandidate]) -> np.ndarray:
        """Return the values of drawable candidates in the label's unit."""
        return np.array([self.scale * (self.get(t) or 0.0) for t in trained])

    def sds(self, trained: Sequence[TrainedCandidate]) -> np.ndarray:
        """Return their standard deviations over seeds in the label's unit, 0 where there is none."""
        return np.array([self.scale * (self.get_sd(t) or 0.0) for t in trained])


def _of_table(name: str, **more: Any) -> Quantity:
    figure = BY_NAME[name]
    unit = f" (S in {figure.unit})" if name.startswith("log10_sensitivity") else ""
    return Quantity(
        label=figure.label + unit, get=attrgetter(name), get_sd=lambda t: getattr(t, sd_name(name), None), **more
    )


LOG10_S_BEFORE = _of_table("log10_sensitivity_before")
LOG10_S_AFTER = _of_table("log10_sensitivity_after")
PARAMS = Quantity(label="parameters (log axis)", get=lambda t: t.params, is_log=True, to_text=compact)
TEST_LOSS = _of_table("test_loss", is_log=True)


def with_unit(quantity: Quantity, unit: str) -> Quantity:
    """Return the same axis with the unit in its label, as far as there is one."""
    more = ", ".join([*([unit] if unit else []), *(["log axis"] if quantity.is_log else [])])
    return replace(quantity, label=f"{quantity.label} ({more})") if more else quantity


def quantity_of(figure: ShownFigure, wording: Wording, *, may_be_log: bool = True) -> Quantity:
    """Return the axis of a figure of trainings.

    Args:
        figure: The figure.
        wording: Has the units of losses and errors.
        may_be_log: Whether a loss has a logarithmic axis.
    """
    axis = Quantity(
        label=figure.label,
        get=lambda t: t.figure(figure.key),
        get_sd=lambda t: t.figure_sd(figure.key),
        is_log=may_be_log and figure.kind == "loss",
        scale=100.0 if figure.kind == "error" else 1.0,
        has_zero=figure.kind != "number",
    )
    return with_unit(axis, {"loss": wording.loss_unit, "error": wording.error_unit, "number": ""}[figure.kind])


def outcome_figure(
    key: str,
    trained: Sequence[TrainedCandidate],
    x: Quantity,
    y: Quantity,
    *,
    title: str,
    description: str,
    predicted_by: str | None = None,
) -> str | None:
    """Return a scatter of one trained quantity against another, selected and control networks marked differently.

    Args:
        key: Identifier of the figure, unique in its page.
        trained: The trained candidates; those without both quantities are left out.
        x: Horizontal axis.
        y: Vertical axis, with error bars of one standard deviation over seeds.
        title: Above the panel, usually the correlation.
        description: Alternative text.
        predicted_by: Name of the equation whose predicted loss is drawn too, for a loss on the vertical axis.
    """
    groups = drawable_groups(trained, x, y)
    if not groups:
        return None

    def draw(figure: Figure, axes: Axes) -> None:
        axes.set_title(title)
        shown_x, shown_y = [], []
        n_points = sum(map(len, groups.values()))
        for group, members in groups.items():
            xs, ys = x.values(members), y.values(members)
            draw_group(axes, xs, ys, y.sds(members), group, n_points=n_points, has_zero=y.has_zero)
            shown_x += list(xs)
            shown_y += list(ys)
        if predicted_by is not None:
            shown_y += _draw_prediction(axes, [t for members in groups.values() for t in members], x, predicted_by)
        set_axis(axes, "x", x, shown_x)
        set_axis(axes, "y", y, shown_y)
        add_legend(figure, axes)

    return render_svg(key, description, draw)


def distribution_figure(
    key: str, candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate], *, description: str
) -> str | None:
    """Return log10 S against the number of parameters of all scored candidates, by family, the trained ones ringed.

    More than ``MOST_NETWORKS`` trained ones have a dot in the place of a ring.
    """
    families: dict[str, list[tuple[int, float]]] = {}
    rings: list[tuple[int, float]] = []
    ringed = {t.digest for t in trained}
    for c in candidates:
        if c.is_ok and c.params and (log10_s := c.log10_sensitivity) is not None and math.isfinite(log10_s):
            families.setdefault(family_of(c.architecture), []).append((c.params, log10_s))
            if c.digest in ringed:
                rings.append((c.params, log10_s))
    if not families:
        return None
    n_points = sum(map(len, families.values()))

    def draw(figure: Figure, axes: Axes) -> None:
        for i, (family, points) in enumerate(sorted(families.items())):
            params, log10_s = np.array(points, dtype=np.float64).T  # of lists, matplotlib looks at every number
            axes.scatter(
                params,
                log10_s,
                s=18 if n_points <= MAX_VECTOR_POINTS else 6,
                alpha=0.6,
                linewidths=0,
                color=FAMILY_COLOURS[i % len(FAMILY_COLOURS)],
                marker=FAMILY_MARKERS[i % len(FAMILY_MARKERS)],
                label=family,
                rasterized=n_points > MAX_VECTOR_POINTS,
            )
        if rings:
            params, log10_s = np.array(rings, dtype=np.float64).T
            style: dict[str, Any] = {"s": 70, "facecolors": "none", "edgecolors": INK, "linewidths": 1.4}
            if len(trained) > MOST_NETWORKS:
                style = {"s": 2, "color": INK, "linewidths": 0, "rasterized": True}
            axes.scatter(params, log10_s, label="trained", zorder=3, **style)
        set_axis(axes, "x", PARAMS, [p for points in families.values() for p, _ in points])
        axes.set_ylabel(LOG10_S_BEFORE.label)
        add_legend(figure, axes)

    return render_svg(key, description, draw)


def draw_group(
    axes: Axes,
    xs: np.ndarray,
    ys: np.ndarray,
    sds: np.ndarray,
    group: Group,
    *,
    n_points: int,
    has_zero: bool = True,
) -> None:
    """Draw one group's points, with error bars where networks were trained from several seeds.

    Args:
        axes: Where.
        xs: Shape (n,).
        ys: Shape (n,).
        sds: Standard deviations of ys, shape (n,).
        group: Which group.
        n_points: Points of all groups; of more than ``MOST_NETWORKS`` there are no bars.
        has_zero: Whether nothing is below zero: bars end before it.
    """
    colour, marker, _ = GROUP_STYLES[group]
    is_filled = group == "selected"
    are_many = n_points > MOST_NETWORKS
    if (sds > 0).any() and not are_many:
        down = np.minimum(sds, 0.95 * ys) if has_zero else sds  # keeps a bar on a logarithmic axis
        axes.errorbar(xs, ys, [down, sds], fmt="none", ecolor=colour, alpha=0.45, elinewidth=1)
    style: dict[str, Any] = {"s": 44, "linewidths": 0.6 if is_filled else 1.6}
    if are_many:
        style = {"s": 10, "linewidths": 0 if is_filled else 0.6, "rasterized": True}
    axes.scatter(
        xs,
        ys,
        marker=marker,
        facecolors=colour if is_filled else "white",
        edgecolors=colour,
        label=group,
        zorder=3,
        **style,
    )


def _draw_prediction(axes: Axes, members: Sequence[TrainedCandidate], x: Quantity, equation: str) -> list[float]:
    """Draw the predicted loss in the order of x.

    Returns:
        The losses drawn.
    """
    pairs = sorted(
        (x.get(t) or 0.0, t.predicted_loss) for t in members if t.predicted_loss is not None and t.predicted_loss > 0
    )
    if pairs:
        xs, losses = zip(*thinned(pairs, MOST_NETWORKS), strict=True)
        axes.plot(xs, losses, color=INK, linestyle=":", marker=".", markersize=5, label=f"predicted by {equation}")
        return list(losses)
    return []


def drawable_groups(trained: Sequence[TrainedCandidate], *quantities: Quantity) -> dict[Group, list[TrainedCandidate]]:
    """Return the drawable candidates by their groups, selected ones first; no empty group."""
    drawable = [t for t in trained if is_drawable(t, *quantities)]
    groups = {group: [t for t in drawable if t.group == group] for group in GROUP_STYLES}
    return {group: members for group, members in groups.items() if members}


def is_drawable(t: TrainedCandidate, *quantities: Quantity) -> bool:
    """Return whether training succeeded and the candidate has all quantities, positive on logarithmic axes."""
    values = [(q.get(t), q.is_log) for q in quantities]
    return t.is_ok and all(v is not None and math.isfinite(v) and (v > 0 or not is_log) for v, is_log in values)


def set_axis(axes: Axes, name: Literal["x", "y"], quantity: Quantity, values: Sequence[float] | np.ndarray) -> None:
    """Give an axis the label, the scale and the ticks of its quantity, for the values that it shows."""
    (axes.set_xlabel if name == "x" else axes.set_ylabel)(quantity.label)
    if quantity.is_log:
        set_log_axis(axes, name, values, to_text=quantity.to_text)
    else:
        (axes.xaxis if name == "x" else axes.yaxis).set_major_locator(MaxNLocator(6))
