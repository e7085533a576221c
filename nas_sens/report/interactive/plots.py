"""The interactive figures as Bokeh draws them; what switches axes and colours is in `templates/interactive.js`."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    LogTicker,
    NoOverlap,
    Range1d,
    TapTool,
)
from bokeh.models.annotations.geometry import Whisker
from bokeh.plotting import figure

from ..figure_style import GROUP_STYLES
from .drawn import Drawn, Network

GOOD, MIDDLE, BAD, FRONT = (0, 114, 178), (150, 150, 150), (213, 94, 0), "#009E73"
_MARKERS = {"selected": "circle", "control": "triangle", "other": "square"}
_COMPACT = """const [size, unit] = [[1e9, "G"], [1e6, "M"], [1e3, "k"]].find(([s]) => tick >= s) ?? [1, ""];
return Number((tick / size).toPrecision(3)) + unit;"""
_TOOLS = "pan,box_zoom,wheel_zoom,reset"


def all_plots(d: Drawn) -> dict[str, Any]:
    """Return Bokeh's figures by the name of the place where each goes."""
    plots = {"costs": costs_plot(d)} if d.costs else {}
    if len(d.axes) > 1 and len(d.lines) > 1:
        plots["searched"] = searched_plot(d)
    if d.importances:
        plots["importances"] = importances_plot(d)
    if np.isfinite(d.best).any():
        plots["best"] = best_plot(d)
    return plots


def costs_plot(d: Drawn) -> Any:
    """Return quality against cost: points by group, the front of the cost that is shown, the chosen one."""
    cost = d.costs[0]
    plot = _figure(x_axis_type="log", x_axis_label=cost.label, y_axis_label=d.quality_label, height=430)
    plot.xaxis.ticker = LogTicker(mantissas=[1, 2, 5], desired_num_ticks=5)
    plot.xaxis.major_label_policy = NoOverlap(min_distance=6)
    plot.xaxis.formatter = CustomJSTickFormatter(code=_COMPACT)
    lines = {f"x_{c.key}": [_short(d.networks[i].costs[c.key]) for i in d.fronts[c.key]] for c in d.costs}
    qualities = {f"y_{c.key}": [_short(d.networks[i].quality) for i in d.fronts[c.key]] for c in d.costs}
    fronts = ColumnDataSource({"x": lines[f"x_{cost.key}"], "y": qualities[f"y_{cost.key}"]}, name="front")
    fronts.tags = [{c.key: [lines[f"x_{c.key}"], qualities[f"y_{c.key}"], c.label] for c in d.costs}]
    plot.step(
        "x", "y", source=fronts, mode="after", color=FRONT, line_width=2, legend_label="Pareto front", level="underlay"
    )
    points = []
    for group, (colour, _, _) in GROUP_STYLES.items():
        members = [n for n in d.networks if n.group == group]
        if members:
            source = ColumnDataSource(_columns(members, cost.key), name="points")
            points.append(
                plot.scatter(
                    "x", "y", source=source, marker=_MARKERS[group], size=9 if len(d.networks) <= 300 else 5,
                    line_color=colour, fill_color=colour, fill_alpha=0.7 if group == "selected" else 0.0,
                    legend_label=group,
                )
            )  # fmt: skip
    chosen = ColumnDataSource(_columns(d.networks[:1], cost.key), name="points")
    plot.scatter(
        "x", "y", source=chosen, marker="star", size=22, fill_color="#F0E442", line_color="#222222",
        legend_label="the chosen one",
    )  # fmt: skip
    _add_box(plot, points)
    _legend_below(plot)
    return plot


def searched_plot(d: Drawn) -> Any:
    """Return parallel coordinates: a line a network through all axes, the best in blue, the worst in vermilion."""
    n_axes = len(d.axes)
    plot = _figure(height=400, x_range=Range1d(start=-0.35, end=n_axes - 0.6), y_range=Range1d(start=-0.08, end=1.06))
    networks = [d.networks[i] for i in d.lines]
    colours = ramp(len(networks))
    order = list(range(len(networks)))[::-1]  # the best are drawn last
    source = ColumnDataSource(
        {
            "xs": [list(range(n_axes)) for _ in order],
            "ys": [[round(a.places[i], 4) for a in d.axes] for i in order],
            "colour": [colours[i] for i in order],
            "width": [3.0 if i == 0 else 1.3 for i in order],
            "alpha": [0.55 for _ in order],  # less where the reader takes parts of axes that a line does not go through
            **_box([networks[i] for i in order]),
        },
        name="lines",
    )
    lines = plot.multi_line(
        "xs", "ys", source=source, line_color="colour", line_width="width", line_alpha="alpha",
        hover_line_color="#E69F00", hover_line_alpha=1.0, selection_line_alpha=1.0, nonselection_line_alpha="alpha",
    )  # fmt: skip
    for i, a in enumerate(d.axes):
        plot.segment([i], [0], [i], [1], color="#888888", line_width=1)
        plot.text(
            [i] * len(a.ticks), [p for p, _ in a.ticks], text=[t for _, t in a.ticks], x_offset=4,
            text_font_size="11px", text_baseline="middle", name="ink",
        )  # fmt: skip
    taken = ColumnDataSource({"axis": [], "low": [], "high": []}, name="taken")
    plot.segment("axis", "low", "axis", "high", source=taken, color="#E69F00", line_width=9, line_alpha=0.5)
    plot.xaxis.ticker = FixedTicker(ticks=list(range(n_axes)))
    plot.xaxis.major_label_overrides = {i: a.name for i, a in enumerate(d.axes)}
    plot.xaxis.major_label_orientation = 0.4 if n_axes > 3 else 0.0
    plot.yaxis.visible = False
    plot.grid.visible = False
    plot.add_tools(BoxSelectTool(renderers=[lines]))
    _add_box(plot, [lines])
    return plot


def importances_plot(d: Drawn) -> Any:
    """Return the share of every parameter as a bar, with its 80 % interval over resamples."""
    rows = d.importances[:15][::-1]
    names = [r.name for r in rows]
    plot = _figure(
        height=max(160, 60 + 26 * len(rows)), y_range=names, x_axis_label="share of the importance", x_range=(0, 1)
    )
    source = ColumnDataSource(
        {
            "name": names,
            "share": [_short(r.share) for r in rows],
            "low": [_short(r.low) for r in rows],
            "high": [_short(r.high) for r in rows],
        }
    )
    bars = plot.hbar(y="name", right="share", height=0.6, source=source, color="#0072B2", fill_alpha=0.8)
    whisker = Whisker(base="name", lower="low", upper="high", source=source, dimension="width", line_color="#888888")
    plot.add_layout(whisker)
    tooltips = [("parameter", "@name"), ("share", "@share{0.00}"), ("over resamples", "@low{0.00} to @high{0.00}")]
    plot.add_tools(HoverTool(renderers=[bars], tooltips=tooltips))
    plot.ygrid.visible = False
    return plot


def best_plot(d: Drawn) -> Any:
    """Return the best so far of the selected networks over what the best of as many random ones would be."""
    plot = _figure(height=360, x_axis_label="trainings", y_axis_label=f"best so far: {d.progress_label}")
    if d.band is not None:
        n = list(range(1, len(d.band.low) + 1))
        band = ColumnDataSource(
            {"n": n} | {k: [_short(v) for v in getattr(d.band, k)] for k in ("low", "median", "high")}
        )
        plot.varea("n", "low", "high", source=band, fill_color="#D55E00", fill_alpha=0.3, legend_label="random, 80 %")
        random = plot.line(
            "n", "median", source=band, color="#D55E00", line_dash="dashed", line_width=2, legend_label="random, median"
        )
        tooltips = [("random trainings", "@n"), ("median", "@median{0.000}"), ("80 %", "@low{0.000} to @high{0.000}")]
        plot.add_tools(HoverTool(renderers=[random], tooltips=tooltips, mode="vline"))
    known = np.flatnonzero(np.isfinite(d.best))
    ends = [int(i) for i in known if i == known[0] or i == known[-1] or d.best[i] != d.best[i - 1]]
    source = ColumnDataSource({"n": [i + 1 for i in ends], "best": [_short(d.best[i]) for i in ends]})
    plot.step("n", "best", source=source, mode="after", color="#0072B2", line_width=2.5, legend_label="selected")
    dots = plot.scatter("n", "best", source=source, color="#0072B2", size=6 if len(ends) <= 60 else 0)
    plot.add_tools(HoverTool(renderers=[dots], tooltips=[("trainings", "@n"), ("best so far", "@best{0.000}")]))
    _legend_below(plot)
    return plot


def _figure(**more: Any) -> Any:
    plot = figure(sizing_mode="stretch_width", tools=_TOOLS, toolbar_location="above", **more)
    plot.toolbar.logo = None
    plot.toolbar.active_drag = None  # on a phone, a finger scrolls the page
    plot.toolbar.autohide = True
    return plot


def _add_box(plot: Any, renderers: list[Any]) -> None:
    """Let a box tell of the network under the pointer, and a click go to its row."""
    tooltips = '<div style="max-width:min(20rem,42vw);white-space:normal"><b>@rank. @name</b><br>@told</div>'
    plot.add_tools(HoverTool(renderers=renderers, tooltips=tooltips), TapTool(renderers=renderers))


def _columns(networks: Any, cost: str) -> dict[str, list[Any]]:
    costs = {key: [_short(n.costs[key]) for n in networks] for key in networks[0].costs}
    return {"x": costs[cost], "y": [_short(n.quality) for n in networks], **costs, **_box(networks)}


def _box(networks: list[Network]) -> dict[str, list[Any]]:
    return {
        "rank": [n.rank for n in networks],
        "name": [n.name for n in networks],
        "told": [", ".join(f"{k} {v}" for k, v in n.told) for n in networks],
    }


def _legend_below(plot: Any) -> None:
    legend = plot.legend[0]
    legend.orientation = "horizontal"
    legend.ncols = 2 if len(legend.items) > 3 else len(legend.items)  # more do not fit beside each other on a phone
    legend.background_fill_alpha = legend.border_line_alpha = 0.0
    plot.add_layout(legend, "below")


def ramp(n: int) -> list[str]:
    """Return so many colours from the best to the worst, which can be told apart on white and on black."""
    found = []
    for i in range(n):
        t = i / max(1, n - 1)
        a, b, s = (GOOD, MIDDLE, 2 * t) if t < 0.5 else (MIDDLE, BAD, 2 * t - 1)
        red, green, blue = (round(x + s * (y - x)) for x, y in zip(a, b, strict=True))
        found.append(f"#{red:02x}{green:02x}{blue:02x}")
    return found


def _short(value: float) -> float:
    """Return a number with as many digits as a screen can show."""
    return float(f"{value:.6g}")
