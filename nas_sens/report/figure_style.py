"""How every figure of the report looks, and how it becomes an SVG element that can stand beside others in one page."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Literal, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from PIL import Image

from ..core.candidates import Group
from .numbers_as_text import number

SELECTED_COLOUR, CONTROL_COLOUR, INK = "#0072B2", "#D55E00", "#222222"  # Okabe and Ito's blue, vermilion; almost black
# Of a group: colour, marker, and dashes of its lines.
GROUP_STYLES: dict[Group, tuple[str, str, str]] = {
    "selected": (SELECTED_COLOUR, "o", "-"),
    "control": (CONTROL_COLOUR, "^", "--"),
    "other": ("#777777", "s", ":"),
}
MAX_VECTOR_POINTS = 2_000  # more are drawn as pixels: 10,000 vector markers weigh megabytes and freeze a browser
MOST_NETWORKS = 512  # trained ones that are drawn one by one: more are pixels, without the bars, which would hide all
MOST_CURVES = 500

Item = TypeVar("Item")

_SIZE_INCHES = (5.2, 4.2)  # the browser scales the picture: a small one has text that a phone's owner can read
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib and is wide: whatever the browser puts instead fits
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handletextpad": 0.4,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.08,
}


def set_log_axis(
    axes: Axes,
    name: Literal["x", "y"],
    values: Sequence[float] | np.ndarray,
    *,
    to_text: Callable[[float], str] = lambda value: number(value, 3),
) -> None:
    """Make an axis logarithmic with ticks that people read: 0.5, 1, 2 … or powers of ten.

    Args:
        axes: Whose axis.
        name: Which axis.
        values: The positive values that it shows.
        to_text: Writes a tick's value.
    """
    (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if name == "x" else axes.yaxis
    n_decades = math.log10(max(values)) - math.log10(min(values))
    if n_decades < 0.4:
        axis.set_major_locator(MaxNLocator(5))
    else:
        subs = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if n_decades < 1 else (1.0, 2.0, 5.0) if n_decades < 2.5 else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: to_text(value)))


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """Return all items, or the first, the last and evenly spaced ones between them if there are more than ``most``."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def add_legend(figure: Figure, axes: Axes, *, max_columns: int = 4) -> None:
    """Put the legend under the panel, where it covers no point, in at most so many columns."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(max_columns, max(1, len(labels))), markerscale=1.1
    )


def render_svg(
    key: str,
    description: str,
    draw: Callable[[Figure, Axes], None],
    *,
    size: tuple[float, float] = _SIZE_INCHES,
) -> str:
    """Return the SVG element that ``draw`` makes, with no id or style that leaks into its page.

    Args:
        key: Prefix of all ids, unique in the page.
        description: Alternative text for screen readers.
        draw: Draws into a figure and its axes.
        size: Width and height in inches, to which its text is set.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style must not change the report
        matplotlib.rcParams.update({**STYLE, "svg.hashsalt": key})
        figure = Figure(figsize=size, layout="constrained")
        draw(figure, figure.add_subplot())
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", dpi=180, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].rstrip()
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]+", lambda found: _fewer_colours(found[0]), svg)
    svg = re.sub(r"\s*<style.*?</style>", "", svg, count=1, flags=re.DOTALL)  # would apply to the whole page
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)


def _fewer_colours(png: str) -> str:
    """Return a picture of points in base64 with 64 colours, a third of its size, as no eye can tell."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).quantize(64, method=Image.Quantize.FASTOCTREE)
    picture.save(buffer := io.BytesIO(), format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
