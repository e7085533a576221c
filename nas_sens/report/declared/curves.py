"""Figures of what was measured while networks were trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import EPOCH_CURVES, ON_TRAIN, TrainedCandidate
from ...results.quantities import record_course
from ...study.figure_spec import FigureSpec
from ...study.quantity_names import RECORD
from ..figure_style import INK, MOST_CURVES, add_legend, render_svg, set_log_axis, thinned
from ..quantity_labels import axis_label, common_label, fitted, label_of
from ..text import Wording
from .groups import group_label, grouped, style_of

_DASHES = ("-", "--", ":", "-.")
_COLUMN = 30  # characters that fit into half of a legend


def course(t: TrainedCandidate, name: str) -> Mapping[int, float]:
    """Return the finite values of a curve by epoch, 0 being before training.

    Args:
        t: A trained network.
        name: A measure, ``record_NAME_FIELD`` for the mean of an array, one of ``EPOCH_CURVES``, or a figure that a
            trainer of the user's own reports.
    """
    if name == t.curve_of:
        values: dict[int, float | None] = dict(enumerate(t.curve, 1))
    elif name in EPOCH_CURVES or name in t.curves:
        values = dict(zip(t.curve_epochs, t.curves.get(name, ()), strict=False))
    elif name.startswith(RECORD):
        values = record_course(t, name.removeprefix(RECORD))
    else:
        values = dict(zip(t.measured_epochs, t.measure_curves.get(name, ()), strict=False))
    return {epoch: v for epoch, v in values.items() if v is not None and math.isfinite(v)}


def curve_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return the course of measures of each network, coloured by group, against the epoch or another curve.

    Lines that are drawn beside y differ from it by their dashes, or, without groups, by their colours. Of more than
    ``MOST_CURVES`` networks so many are drawn, evenly spread over the order of their digests.
    """
    names = (spec.y, *spec.lines)
    drawn = list(_lines(trained, spec.x, names))
    if not drawn:
        return None
    what, each = common_label(names, wording)

    def draw(figure: Figure, axes: Axes) -> None:
        groups = grouped([t for t, _, _ in drawn], spec.group)
        told: set[str | None] = {None}
        levels = list(groups)
        for i, (level, members) in enumerate(groups.items()):
            for member in members:
                _, k, points = drawn[member]
                colour, marker = style_of(i, level, levels) if spec.group else style_of(k, each[k], each)
                parts = [each[k]] if spec.lines else []
                label = ", ".join([*parts, *([group_label(spec.group, level, wording)] if spec.group else [])]) or None
                xs, ys = zip(*points, strict=True)
                axes.plot(
                    *(xs, ys),
                    color=colour,
                    linestyle=_DASHES[k % len(_DASHES)] if spec.group else "-",
                    marker=marker if len(xs) <= 40 else None,
                    markersize=4,
                    rasterized=len(trained) > MOST_CURVES,
                    label=None if label in told else label,
                )
                told.add(label)
        axes.set_xlabel(axis_label(spec.x, wording) if spec.x else "epoch")
        axes.set_ylabel(fitted(what))
        points = [p for _, _, line in drawn for p in line]
        if spec.predicted and (scale := prediction_scale(trained)) is not None:
            ends = np.array([min(p[0] for p in points), max(p[0] for p in points)])
            line = scale * np.sqrt(ends)
            axes.plot(ends, line, color=INK, linestyle=":", linewidth=1.5, label=f"predicted by {wording.predicted_by}")
        if _is_log(spec.x):
            set_log_axis(axes, "x", [p[0] for p in points])
        if all(map(_is_log, names)):
            set_log_axis(axes, "y", [p[1] for p in points])
        if labels := axes.get_legend_handles_labels()[1]:
            add_legend(figure, axes, max_columns=2 if max(map(len, labels)) <= _COLUMN else 1)

    x_label = label_of(spec.x, wording) if spec.x else "the epoch"
    return render_svg(key, f"Curves of {what} against {x_label}", draw)


def prediction_scale(trained: Sequence[TrainedCandidate]) -> float | None:
    """Return c of L = c · √S, the loss that eq. 9 of forouzesh2020 predicts, as a study has it; None where it has none.

    All trained networks of a study have the same: c depends on the data, the noise and the number of classes only.
    """
    for t in trained:
        if t.predicted_loss is not None and t.log10_sensitivity_after is not None:
            return t.predicted_loss / 10 ** (t.log10_sensitivity_after / 2)
    return None


def _lines(
    trained: Sequence[TrainedCandidate], x: str, names: Sequence[str]
) -> Iterator[tuple[TrainedCandidate, int, list[tuple[float, float]]]]:
    """Yield each network with the place of a name and the points of that curve, those that its axes can show."""
    for t in thinned(sorted(trained, key=lambda t: t.digest), MOST_CURVES):
        xs = course(t, x) if x else None
        for k, name in enumerate(names):
            ys = course(t, name)
            points = [(float(e) if xs is None else xs[e], y) for e, y in ys.items() if xs is None or e in xs]
            points = [p for p in points if (p[0] > 0 or not _is_log(x)) and (p[1] > 0 or not _is_log(name))]
            if points:
                yield t, k, points


def _is_log(name: str) -> bool:
    return name.removesuffix(ON_TRAIN) in ("val_loss", "train_loss", "output_sensitivity")
