"""Picture of the boundaries of linear regions in a plane through three inputs (novak2018, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.errors import InvalidInputError
from .figure_style import INK, SELECTED_COLOUR, render_svg
from .numbers_as_text import number

if TYPE_CHECKING:  # figures of stored maps are drawn without PyTorch
    from ..metrics.region_boundaries import BoundaryMap


def boundary_figure(found: BoundaryMap, *, labels: Sequence[str] = ("1", "2", "3"), title: str = "") -> str:
    """Return the map as SVG text, a file of its own or an element of a page; the same map gives the same text.

    Args:
        found: What :func:`nas_sens.metrics.region_boundaries.region_boundaries` returns.
        labels: What to write at the three inputs, for example their classes.
        title: Title; the name of the layer is added.

    Raises:
        InvalidInputError: There are not three labels.
    """
    if len(labels) != 3:
        raise InvalidInputError(f"3 labels are needed, one for each input; given {len(labels)}")
    counts = found.counts.cpu().numpy()
    heading = f"{title}: " if title else ""
    head = f"{heading}region boundaries of layer {found.layer or 'itself'} ({found.n_units} units)"

    def draw(figure: Figure, axes: Axes) -> None:
        axes.set_title(head)
        draw_boundaries(figure, axes, counts, found.corners.tolist(), labels=labels)

    description = f"{heading}boundaries of linear regions in the plane through {', '.join(labels)}"
    return render_svg("boundaries", description, draw)


def draw_boundaries(
    figure: Figure, axes: Axes, counts: np.ndarray, corners: Sequence[Sequence[float]], *, labels: Sequence[str]
) -> None:
    """Draw a map of boundaries with its three inputs and a scale.

    Args:
        figure: Where the scale belongs.
        axes: Where to draw.
        counts: Changes of region (rows, columns), the smallest coordinates first.
        corners: Coordinates of the three inputs.
        labels: What to write at them.
    """
    # A root, since few places have many boundaries, and single ones must be seen beside them.
    image = axes.imshow(
        np.sqrt(counts), cmap="Greys", origin="lower", extent=(-1, 1, -1, 1), interpolation="nearest", vmin=0
    )
    axes.grid(visible=False)
    axes.set_xlabel("first coordinate of the plane")
    axes.set_ylabel("second coordinate")
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    for (u, v), label in zip(corners, labels, strict=True):
        axes.plot(u, v, "s", markersize=7, markerfacecolor="white", markeredgecolor=SELECTED_COLOUR)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
        axes.annotate(label, (u, v), (0, 8), textcoords="offset points", ha="center", color=INK, bbox=box)
    top = float(counts.max())
    ticks = [0.0, top / 9, 4 * top / 9, top]  # equally far apart under the root
    ticks = sorted({float(round(t)) for t in ticks} if top >= 9 else {*ticks})
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=np.sqrt(ticks))
    bar.ax.set_yticklabels([number(t, 2) if top < 9 else str(int(t)) for t in ticks])
    bar.set_label("units that change their region to a neighbour")
