"""Figures of the boundaries of linear regions in a plane through three training inputs, as they are recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import TrainedCandidate
from ...results.quantities import arrays_of
from ...study.figure_spec import FigureSpec
from ..boundary_figure import draw_boundaries
from ..figure_style import render_svg
from ..numbers_as_text import number
from ..text import Wording


def slice_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return the map of one network, the first by its digest of those that ``where`` leaves."""
    networks = sorted(trained, key=lambda t: t.digest)
    having = (found for t in networks if "counts" in (found := arrays_of(t, spec.recording, spec.epoch)))
    arrays = next(having, None)
    if arrays is None:
        return None
    near = np.array(arrays["near"], dtype=float)
    title = f"{number(arrays['n_units'], 4)} units; boundaries near the three inputs: {number(near[0], 2)}\n"
    title += f"times the mean of the map (mean of {len(near)} planes: {number(float(np.mean(near)), 2)})"

    def draw(figure: Figure, axes: Axes) -> None:
        axes.set_title(title)
        labels = [f"class {number(v, 3)}" for v in arrays["labels"]]
        draw_boundaries(figure, axes, np.array(arrays["counts"], dtype=float), arrays["corners"], labels=labels)

    return render_svg(key, f"Map of {title}".replace("\n", " "), draw)
