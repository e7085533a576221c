"""The figures that a study declares, as pictures of its report; pure and deterministic as those of `figures`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import TrainedCandidate
from ...results.quantities import number_of, value_of
from ...statistics.correlations import correlations
from ...statistics.line_fit import line_fit
from ...study.figure_spec import LOG10, FigureSpec
from ..figure_style import INK, MOST_NETWORKS, add_legend, render_svg, thinned
from ..numbers_as_text import interval_text, number
from ..panels import Panel
from ..quantity_labels import axis_label, label_of
from ..text import Wording
from .curves import curve_svg
from .distances import distance_svg
from .equal_loss import at_loss_text, value_at_loss
from .groups import draw_points, plain_ticks
from .matrices import matrix_svg
from .pairs import paired_svg
from .points import points_svg
from .profiles import profile_svg
from .slices import slice_svg


def declared_panels(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate], wording: Wording) -> list[Panel]:
    """Return the figures of a study, in the order of their declaration.

    Args:
        protocol: The study as stored; studies of older versions have no figures.
        trained: All trained networks; those that failed are left out.
        wording: What losses and errors are called.
    """
    panels = []
    for i, declared in enumerate(protocol.get("figures", ())):
        spec = FigureSpec(**declared)
        shown = [t for t in trained if _is_shown(t, spec)]
        svg = _DRAWERS[spec.kind](f"declared-{i}", spec, shown, wording)
        missing = f"No network, or no pair of networks, has all that this figure shows ({len(shown)} looked at)."
        if spec.kind == "heat_map" and len(shown) > MOST_NETWORKS:
            missing += f" Nor is a heat map drawn by a parameter of more than {MOST_NETWORKS} values."
        if svg is None and wording.own:
            missing += f" Figures of this study’s own: {', '.join(sorted(wording.own))}."
        panels.append(
            Panel(heading=spec.title or f"{spec.y or spec.recording} ({spec.kind})", svg=svg, missing=missing)
        )
    return panels


def _is_shown(t: TrainedCandidate, spec: FigureSpec) -> bool:
    limit = spec.max_train_error
    fits = limit is None or (t.train_error is not None and t.train_error <= limit)
    return t.is_ok and fits and all(value_of(t, name) == value for name, value in spec.where.items())


def scatter_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return y against x, coloured by group, with the correlation and, if declared, line, diagonal and prediction.

    Where networks are compared at equal training loss, y is what it was there, and those that do not come to it lack.
    """
    height = partial(value_at_loss, spec=spec) if spec.kind == "equal_loss" else partial(number_of, name=spec.y)
    points = [(t, x, y) for t in trained if math.isfinite((x := number_of(t, spec.x)) + (y := height(t)))]
    if not points:
        return None
    xs, ys = (np.array([p[k] for p in points]) for k in (1, 2))
    title = _statistics(xs, ys, has_fit=spec.fit)
    if spec.kind == "equal_loss" and len(points) < len(trained):
        title += f"\n{len(trained) - len(points)} of {len(trained)} networks do not come to this loss"

    def draw(figure: Figure, axes: Axes) -> None:
        draw_points(axes, xs, ys, [t for t, _, _ in points], spec.group, wording)
        ends = np.array([xs.min(), xs.max()])
        if spec.fit and (fit := line_fit(xs, ys)) is not None:
            axes.plot(ends, fit.intercept + fit.slope.estimate * ends, color=INK, linewidth=1.2, label="least squares")
        if spec.diagonal:
            both = np.array([min(xs.min(), ys.min()), max(xs.max(), ys.max())])
            axes.plot(both, both, color=INK, linestyle="--", linewidth=1, label="y = x")
        if spec.predicted:
            _draw_prediction(axes, spec, points, wording)
        axes.set_title(title)
        axes.set_xlabel(axis_label(spec.x, wording))
        axes.set_ylabel(axis_label(spec.y, wording, more=at_loss_text(spec)))
        plain_ticks(axes)
        if axes.get_legend_handles_labels()[0]:
            add_legend(figure, axes, max_columns=2)

    description = f"Scatter plot of {label_of(spec.y, wording)} against {label_of(spec.x, wording)}; {title}"
    return render_svg(key, description.replace("\n", "; "), draw)


def heat_map_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return the mean of a quantity over networks, by two parameters, written into its squares."""
    cells: dict[tuple[Any, Any], list[float]] = {}
    for t in trained:
        if math.isfinite(value := number_of(t, spec.colour)):
            cells.setdefault((value_of(t, spec.x), value_of(t, spec.y)), []).append(value)
    if not cells:
        return None
    columns, rows = (sorted({place[k] for place in cells}, key=lambda v: (str(type(v)), v)) for k in (0, 1))
    if max(len(columns), len(rows)) > MOST_NETWORKS:
        return None  # of a real-valued parameter: squares too small to be seen, and too many to be held
    column_of, row_of = ({level: i for i, level in enumerate(levels)} for levels in (columns, rows))
    means = np.full((len(rows), len(columns)), np.nan)
    for (x, y), values in cells.items():
        means[row_of[y], column_of[x]] = math.fsum(values) / len(values)

    def draw(figure: Figure, axes: Axes) -> None:
        image = axes.imshow(means, cmap="cividis", origin="lower", aspect="auto")
        axes.grid(visible=False)
        middle = (np.nanmin(means) + np.nanmax(means)) / 2
        for (i, j), value in np.ndenumerate(means):
            if math.isfinite(value):
                axes.text(j, i, number(value, 3), ha="center", va="center", color=INK if value > middle else "white")
        axes.set_xticks(range(len(columns)), [str(c) for c in columns])
        axes.set_yticks(range(len(rows)), [str(r) for r in rows])
        axes.set_xlabel(axis_label(spec.x, wording))
        axes.set_ylabel(axis_label(spec.y, wording))
        figure.colorbar(image, ax=axes).set_label(axis_label(spec.colour, wording))

    description = f"{label_of(spec.colour, wording)} by {label_of(spec.x, wording)} and {label_of(spec.y, wording)}"
    return render_svg(key, f"Heat map of {description}", draw)


def _statistics(xs: np.ndarray, ys: np.ndarray, *, has_fit: bool) -> str:
    found = correlations(xs, ys)
    if found.pearson is None or found.spearman is None:
        return f"no correlation: {found.reason}"
    lines = [f"Pearson {interval_text(found.pearson, digits=3)}, n = {found.n}"]
    fit = line_fit(xs, ys) if has_fit else None
    if fit is None:
        return "\n".join([*lines, f"Spearman {interval_text(found.spearman)}"])
    return "\n".join([*lines, f"slope {interval_text(fit.slope, digits=3)}, R² = {fit.r2:.4f}"])


def _draw_prediction(
    axes: Axes, spec: FigureSpec, points: Sequence[tuple[TrainedCandidate, float, float]], wording: Wording
) -> None:
    name = LOG10 + "predicted_loss" if spec.y.startswith(LOG10) else "predicted_loss"
    pairs = sorted((x, value) for t, x, _ in points if math.isfinite(value := number_of(t, name)))
    if pairs:
        xs, losses = zip(*thinned(pairs, MOST_NETWORKS), strict=True)
        axes.plot(xs, losses, color=INK, linestyle=":", linewidth=1.5, label=f"predicted by {wording.predicted_by}")


_DRAWERS = {
    **{
        "scatter": scatter_svg,
        "equal_loss": scatter_svg,
        "paired": paired_svg,
        "curve": curve_svg,
        "heat_map": heat_map_svg,
    },
    **{"points": points_svg, "profile": profile_svg, "slice": slice_svg},
    **{"matrix": matrix_svg, "distance": distance_svg},
}
