"""Figures of pairs of networks that differ in one parameter only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.candidates import TrainedCandidate
from ...core.identity import canonical_json
from ...results.quantities import number_of, value_of
from ...statistics.bootstrap import mean_interval
from ...statistics.correlations import MIN_POINTS
from ...statistics.interval import Interval
from ...study.figure_spec import FigureSpec
from ..figure_style import INK, add_legend, render_svg
from ..numbers_as_text import interval_text
from ..quantity_labels import axis_label, label_of
from ..text import Wording
from .groups import draw_points, grouped, level_text, plain_ticks


def pairs_of(
    trained: Sequence[TrainedCandidate], pair: str, also: Sequence[str] = ()
) -> tuple[list[Any], list[list[TrainedCandidate]]]:
    """Return the two values of a parameter, in order, and the pairs of networks that differ in it only.

    Args:
        trained: The networks.
        pair: The parameter, of the architecture or, with ``training_`` before its name, of the training.
        also: Parameters that are chosen together with it, in which a pair may differ, too.

    Returns:
        The values; the pairs, in the order of the values. Both are empty unless there are two values.
    """
    levels = list(grouped(trained, pair))
    if len(levels) != 2:
        return [], []
    alike: dict[str, dict[Any, TrainedCandidate]] = {}
    for t in trained:
        alike.setdefault(_rest(t, (pair, *also)), {})[value_of(t, pair)] = t
    return levels, [[found[v] for v in levels] for found in alike.values() if len(found) == 2]


def paired_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return a quantity at one value of a parameter against it at the other, with the diagonal."""
    levels, pairs = pairs_of(sorted(trained, key=lambda t: t.digest), spec.pair, spec.also)
    values = [(a, number_of(a, spec.y), number_of(b, spec.y)) for a, b in pairs]
    points = [p for p in values if math.isfinite(p[1] + p[2])]
    if not points:
        return None
    xs, ys = (np.array([p[k] for p in points]) for k in (1, 2))
    title = _statistics(xs, ys)

    def draw(figure: Figure, axes: Axes) -> None:
        draw_points(axes, xs, ys, [t for t, _, _ in points], spec.group, wording, label="a pair of networks")
        both = np.array([min(xs.min(), ys.min()), max(xs.max(), ys.max())])
        axes.plot(both, both, color=INK, linestyle="--", linewidth=1, label="no difference")
        axes.set_title(title)
        parameter = label_of(spec.pair, wording)
        axes.set_xlabel(axis_label(spec.y, wording, more=f"with {parameter} = {level_text(levels[0])}"))
        axes.set_ylabel(axis_label(spec.y, wording, more=f"with {parameter} = {level_text(levels[1])}"))
        plain_ticks(axes)
        add_legend(figure, axes, max_columns=2)

    description = f"{label_of(spec.y, wording)} of networks that differ in {spec.pair} only"
    return render_svg(key, f"Scatter plot of {description}; {title}".replace("\n", "; "), draw)


def mean_difference(differences: np.ndarray, *, seed: int = 0) -> Interval | None:
    """Return the mean of differences (n,) with its 95 % bootstrap interval; None of fewer than five."""
    if differences.size < MIN_POINTS:
        return None
    return mean_interval(differences, n_resamples=9999, seed=seed)


def _statistics(xs: np.ndarray, ys: np.ndarray) -> str:
    below = f"below the diagonal: {int((ys < xs).sum())} of {len(xs)} pairs"
    interval = mean_difference(ys - xs)
    return f"{below}\n" + ("too few pairs for an interval" if interval is None else f"mean of y − x: {_of(interval)}")


def _of(interval: Interval) -> str:
    return interval_text(interval, digits=2 if abs(interval.estimate) >= 0.1 else 3)


def _rest(t: TrainedCandidate, but: Sequence[str]) -> str:
    """Return everything that a network was made by but some parameters."""
    values: Mapping[str, Any] = json.loads(t.architecture) | {f"training_{k}": v for k, v in t.training.items()}
    return canonical_json({k: v for k, v in values.items() if k not in but})
