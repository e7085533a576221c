"""The curve of the best network: its validation figure beside that of its training, small."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..core.candidates import TrainedCandidate
from ..core.figures import OF_TRAINING
from .figure_style import CONTROL_COLOUR, SELECTED_COLOUR, add_legend, render_svg, set_log_axis
from .shown_figures import ShownFigure
from .text import Wording

_SIZE = (4.6, 2.9)  # inches: beside the answer it is small, and its text must not be


def hero_curve(best: TrainedCandidate, figure: ShownFigure, wording: Wording, *, step: str) -> str | None:
    """Return the curve of a network as SVG; None where it has none.

    Args:
        best: The network.
        figure: What curves of the study show.
        wording: Has the unit of a loss.
        step: What a value comes after.
    """
    values = np.array(best.curve, dtype=np.float64)
    if best.curve_of != figure.key or not np.isfinite(values).any():
        return None
    beside = np.array(best.curves.get(OF_TRAINING.get(figure.key, ""), ()), dtype=np.float64)
    is_log = figure.kind == "loss" and bool((values[np.isfinite(values)] > 0).all())
    unit = {"loss": wording.loss_unit, "error": "fraction"}.get(figure.kind, "")

    def draw(picture: Figure, axes: Axes) -> None:
        axes.plot(
            np.arange(1, len(values) + 1), values, color=SELECTED_COLOUR, linewidth=2.2, label=figure.label,
            marker="o" if len(values) == 1 else None,
        )  # fmt: skip
        if np.isfinite(beside).any():
            axes.plot(
                best.curve_epochs, beside, color=CONTROL_COLOUR, linewidth=1.6, linestyle="--",
                label=figure.label.replace("validation", "training"),
            )  # fmt: skip
        if is_log and not (beside <= 0).any():
            both = np.concatenate([values, beside])
            set_log_axis(axes, "y", both[np.isfinite(both)])
        axes.set_xlabel(step)
        axes.set_ylabel(unit)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        add_legend(picture, axes)

    return render_svg(
        "hero", f"{figure.label.capitalize()} of the best network while it was trained.", draw, size=_SIZE
    )
