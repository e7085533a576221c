"""Figures of what was measured while networks were trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .declared_groups import group_label, grouped, style_of
from .figure_spec import FigureSpec
from .figure_style import add_legend, render_svg, set_log_axis
from .quantity_labels import axis_label, label_of
from .records import EPOCH_CURVES, TrainedCandidate
from .report_text import Wording


def course(t: TrainedCandidate, name: str) -> Mapping[int, float]:
    """Return the finite values of a curve by epoch, 0 being before training.

    Args:
        t: A trained network.
        name: A measure, or one of ``EPOCH_CURVES``.
    """
    if name == "val_loss":
        values: dict[int, float | None] = dict(enumerate(t.curve, 1))
    elif name in EPOCH_CURVES:
        values = dict(zip(t.curve_epochs, t.curves.get(name, ()), strict=False))
    else:
        values = dict(zip(t.measured_epochs, t.measure_curves.get(name, ()), strict=False))
    return {epoch: v for epoch, v in values.items() if v is not None and math.isfinite(v)}


def curve_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return the course of a measure of each network, coloured by group, against the epoch or another curve."""
    drawn = []
    for t in sorted(trained, key=lambda t: t.digest):
        ys, xs = course(t, spec.y), course(t, spec.x) if spec.x else None
        line = [(float(e) if xs is None else xs[e], y) for e, y in ys.items() if xs is None or e in xs]
        line = [p for p in line if (p[0] > 0 or not _is_log(spec.x)) and (p[1] > 0 or not _is_log(spec.y))]
        if line:
            drawn.append((t, line))
    if not drawn:
        return None

    def draw(figure: Figure, axes: Axes) -> None:
        groups = grouped([t for t, _ in drawn], spec.group)
        for i, (level, members) in enumerate(groups.items()):
            colour, marker = style_of(i, level, list(groups))
            label = group_label(spec.group, level, wording) if spec.group else None
            for j, member in enumerate(members):
                xs, ys = zip(*drawn[member][1], strict=True)
                few = len(xs) <= 40
                axes.plot(
                    xs, ys, color=colour, marker=marker if few else None, markersize=4, label=label if j == 0 else None
                )
        axes.set_xlabel(axis_label(spec.x, wording) if spec.x else "epoch")
        axes.set_ylabel(axis_label(spec.y, wording))
        points = [p for _, line in drawn for p in line]
        if _is_log(spec.x):
            set_log_axis(axes, "x", [p[0] for p in points])
        if _is_log(spec.y):
            set_log_axis(axes, "y", [p[1] for p in points])
        if spec.group:
            add_legend(figure, axes, max_columns=2)

    x_label = label_of(spec.x, wording) if spec.x else "the epoch"
    return render_svg(key, f"Curves of {label_of(spec.y, wording)} against {x_label}", draw)


def _is_log(name: str) -> bool:
    return name in ("val_loss", "train_loss")
