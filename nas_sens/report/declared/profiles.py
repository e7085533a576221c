"""Figures of arrays against arrays, such as what a network does along a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import TrainedCandidate
from ...results.quantities import arrays_of
from ...study.figure_spec import FigureSpec
from ..figure_style import INK, add_legend, render_svg, set_log_axis
from ..quantity_labels import array_label, label_of, line_label
from ..text import Wording
from .groups import grouped, level_text, style_of


def profile_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return arrays of a record against another, each line the mean over the networks of a group."""
    found = [(t, arrays_of(t, spec.recording, spec.epoch)) for t in sorted(trained, key=lambda t: t.digest)]
    having = [(t, arrays) for t, arrays in found if all(name in arrays for name in (spec.x, *spec.lines))]
    if not having:
        return None
    groups = grouped([t for t, _ in having], spec.group)
    lines: list[tuple[str, int, np.ndarray, np.ndarray]] = []
    for level, members in groups.items():
        for i, name in enumerate(spec.lines):
            xs, ys = (np.mean([np.array(having[m][1][n], dtype=float) for m in members], 0) for n in (spec.x, name))
            text = line_label(name) if len(spec.lines) > 1 else ""
            if spec.group:
                text = f"{text}, {label_of(spec.group, wording)} {level_text(level)}".removeprefix(", ")
            lines.append((text, len(lines) if spec.group else i, xs, ys))

    def draw(figure: Figure, axes: Axes) -> None:
        values = np.concatenate([ys[np.isfinite(ys)] for *_, ys in lines])
        for place in np.array(having[0][1].get("anchors", ()), dtype=float):
            axes.axvline(place, color=INK, linestyle=":", linewidth=1)
        for text, i, xs, ys in lines:
            colour, marker = style_of(i, text, [text for text, *_ in lines])
            few = len(xs) <= 80
            size = 3 if len(xs) > 20 else 5
            axes.plot(xs, ys, color=colour, marker=marker if few else None, markersize=size, linewidth=1.2, label=text)
        is_wide = len(values) > 0 and 0 < values.min() < values.max() / 10
        if is_wide and not spec.lines[0].startswith("distance"):  # which is 0 at training inputs, but for rounding
            set_log_axis(axes, "y", values)
        axes.set_xlabel(array_label(spec.x, wording))
        axes.set_ylabel(array_label(spec.lines[0], wording))
        if any(text for text, *_ in lines):
            add_legend(figure, axes, max_columns=2)

    names = " and ".join(line_label(name) for name in spec.lines)
    description = f"{array_label(spec.lines[0], wording)} against {array_label(spec.x, wording)}: {names}"
    return render_svg(key, description.replace("\n", " "), draw)
