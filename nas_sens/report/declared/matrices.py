"""Figures of recorded arrays by two classes, one panel an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...core.candidates import TrainedCandidate
from ...results.quantities import arrays_of
from ...study.figure_spec import FigureSpec
from ..figure_style import render_svg
from ..numbers_as_text import number
from ..quantity_labels import array_label
from ..text import Wording

_MOST = 4  # panels, unless the figure says which
_TALL_INCHES = (5.2, 5.8)  # of two rows of panels


def epochs_to_show(recorded: Sequence[int], spec: FigureSpec) -> list[int]:
    """Return the epochs of a figure: those that it asks for, or up to four from the first to the last.

    Args:
        recorded: All epochs at which there are arrays.
        spec: The figure.
    """
    there = sorted(set(recorded))
    if spec.epochs:
        return [e for e in there if e in spec.epochs]
    n = min(_MOST, len(there))
    return [there[round(i * (len(there) - 1) / max(1, n - 1))] for i in range(n)]


def mean_arrays(
    trained: Sequence[TrainedCandidate], spec: FigureSpec, names: Sequence[str]
) -> Mapping[int, Mapping[str, np.ndarray]]:
    """Return the means of arrays over the networks that have a number, by the epochs to show and by name.

    Args:
        trained: The networks.
        spec: The figure, which says of which record.
        names: The arrays.
    """
    networks = sorted(trained, key=lambda t: t.digest)
    epochs = epochs_to_show([e for t in networks for e in t.records.get(spec.recording, {})], spec)
    means: dict[int, dict[str, np.ndarray]] = {}
    for epoch in epochs:
        found = [a for t in networks if all(name in (a := arrays_of(t, spec.recording, epoch)) for name in names)]
        if found:
            stacks = {name: np.array([a[name] for a in found], dtype=float) for name in names}  # None becomes nan
            means[epoch] = {name: _mean(stack) for name, stack in stacks.items()}
    return means


def _mean(stack: np.ndarray) -> np.ndarray:
    is_number = np.isfinite(stack)
    counts = is_number.sum(axis=0)
    total = np.where(is_number, stack, 0.0).sum(axis=0)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def matrix_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return an array by two classes at some epochs, mean over networks, in colours from −limit to limit."""
    matrices = {epoch: arrays[spec.y] for epoch, arrays in mean_arrays(trained, spec, (spec.y,)).items()}
    matrices = {epoch: m for epoch, m in matrices.items() if m.ndim == 2 and np.isfinite(m).any()}
    if not matrices:
        return None
    limit = max(float(np.nanmax(np.abs(m))) for m in matrices.values()) or 1.0
    titles = {epoch: f"epoch {epoch}\n{_summary(m)}" for epoch, m in matrices.items()}

    what = array_label(spec.y, wording).replace("\n", " ")

    def draw(figure: Figure, axes: Axes) -> None:
        axes.remove()
        n = len(matrices)
        n_columns = 1 if n == 1 else 2 if n <= 4 else 3
        if n > n_columns:
            figure.set_size_inches(*_TALL_INCHES)
        panels = figure.subplots(-(-n // n_columns), n_columns, squeeze=False).flatten().tolist()
        for panel in panels[n:]:
            panel.remove()
        for panel, (epoch, matrix) in zip(panels, matrices.items(), strict=False):
            image = panel.imshow(matrix, cmap="PuOr", vmin=-limit, vmax=limit, aspect="equal")  # blank where none
            panel.grid(visible=False)
            panel.set_title(titles[epoch], fontsize=9)
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_locator(MaxNLocator(10, integer=True))
            panel.tick_params(labelsize=7)
        figure.supylabel("class", fontsize=10)
        bar = figure.colorbar(image, ax=panels[:n], location="bottom", shrink=0.8, aspect=30)
        bar.set_label(f"{what}, by their classes", fontsize=10)
        bar.ax.tick_params(labelsize=8)

    description = f"{what} by two classes; " + "; ".join(titles.values())
    return render_svg(key, description.replace("\n", " "), draw)


def _summary(matrix: np.ndarray) -> str:
    """Return the means of what lies on the diagonal and of what lies off it, in words."""
    row, column = np.indices(matrix.shape)
    within, between = (matrix[mask & np.isfinite(matrix)] for mask in (row == column, row != column))
    said = [f"{word} {number(float(v.mean()), 2)}" for word, v in (("within", within), ("between", between)) if v.size]
    return ", ".join(said)
