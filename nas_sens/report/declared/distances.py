"""Figures of stiffness against the distance of inputs (fort2019, figure 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import TrainedCandidate
from ...study.figure_spec import FigureSpec
from ...study.quantity_names import BY_DISTANCE
from ..figure_style import INK, add_legend, render_svg
from ..numbers_as_text import number
from ..quantity_labels import array_label, fitted
from ..text import Wording
from .groups import style_of
from .matrices import mean_arrays

_FARTHEST = 2.0  # 1 − cos is at most 2


def distance_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return means by distance with their standard errors, the line of least squares and its zero ξ, by epoch."""
    names = ("distance", *(spec.y + part for part in (BY_DISTANCE, "_stderr", "_line")))
    found = {
        epoch: arrays
        for epoch, arrays in mean_arrays(trained, spec, names).items()
        if np.isfinite(arrays[spec.y + BY_DISTANCE]).any()
    }
    if not found:
        return None
    legends = {epoch: f"epoch {epoch}: {_zero(arrays[names[3]])}" for epoch, arrays in found.items()}

    what = array_label(spec.y, wording).replace("\n", " ")

    def draw(figure: Figure, axes: Axes) -> None:
        axes.axhline(0.0, color=INK, linewidth=0.8)
        for i, (epoch, arrays) in enumerate(found.items()):
            colour, marker = style_of(i, epoch, list(found))
            distance, mean, stderr, line = (arrays[name] for name in names)
            has = np.isfinite(mean)
            errors = np.where(np.isfinite(stderr), stderr, 0.0)[has]
            style = {"color": colour, "marker": marker, "markersize": 5, "linestyle": "none", "elinewidth": 1}
            axes.errorbar(distance[has], mean[has], errors, label=legends[epoch], **style)
            xi = zero_of(line)
            end = max(distance[has].max(), xi if xi is not None and xi <= _FARTHEST else 0.0)
            ends = np.array([distance[has].min(), end])
            axes.plot(ends, line[0] + line[1] * ends, color=colour, linewidth=1.2)
        axes.set_xlabel("distance of inputs (1 − cos)")
        axes.set_ylabel(fitted(f"{what}, within classes"))
        add_legend(figure, axes, max_columns=2)

    description = f"{what} within classes against the distance of inputs; "
    return render_svg(key, description + "; ".join(legends.values()), draw)


def zero_of(line: np.ndarray) -> float | None:
    """Return where a line, intercept and slope, falls to 0, at least 0; None where it does not fall."""
    intercept, slope = map(float, line)
    return max(0.0, -intercept / slope) if slope < 0 else None


def _zero(line: np.ndarray) -> str:
    xi = zero_of(line)
    return "no ξ" if xi is None else f"ξ = {number(xi, 3)}"
