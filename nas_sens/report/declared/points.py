"""Figures of single inputs of trained networks, of what ``[train] recordings`` keeps of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...core.candidates import TrainedCandidate
from ...results.quantities import arrays_of
from ...study.figure_spec import FigureSpec
from ..figure_style import INK, add_legend, render_svg, set_log_axis
from ..numbers_as_text import number
from ..quantity_labels import array_label, label_of
from ..text import Wording
from .groups import grouped, level_text, style_of

MOST_NETWORKS = 8  # whose colours can be told apart
_TOP = 0.1  # share of inputs with the largest values that are looked at


@dataclass(frozen=True)
class Points:
    """Single inputs of one network as they are drawn; those without positive values are left out.

    Attributes:
        network: The network.
        x: Values (n,).
        y: Values (n,).
        is_right: Whether each is classified rightly (n,); None where that is not recorded.
        arrays: The whole record.
    """

    network: TrainedCandidate
    x: np.ndarray
    y: np.ndarray
    is_right: np.ndarray | None
    arrays: Mapping[str, Any]


def points_svg(key: str, spec: FigureSpec, trained: Sequence[TrainedCandidate], wording: Wording) -> str | None:
    """Return y against x of single inputs of at most 8 networks, on logarithmic axes, with their bounds if declared."""
    having = (p for t in sorted(trained, key=lambda t: t.digest) if (p := _points(t, spec)) is not None)
    shown = list(itertools.islice(having, MOST_NETWORKS))
    if not shown:
        return None
    title = "\n".join(_statistics(shown, spec))

    def draw(figure: Figure, axes: Axes) -> None:
        groups = grouped([p.network for p in shown], spec.group)
        for i, (level, members) in enumerate(groups.items()):
            colour, _ = style_of(i, level, list(groups))
            for j, member in enumerate(members):
                p = shown[member]
                is_right = np.ones(len(p.x), dtype=bool) if p.is_right is None else p.is_right
                label = f"{label_of(spec.group, wording)} {level_text(level)}" if spec.group and j == 0 else None
                axes.scatter(
                    p.x[is_right], p.y[is_right], s=12, color=colour, linewidths=0, rasterized=True, label=label
                )
                wrong = ~is_right
                axes.scatter(p.x[wrong], p.y[wrong], s=16, color=colour, marker="x", linewidths=0.9, rasterized=True)
                if spec.bounds:
                    _draw_bounds(axes, p, spec, colour if len(shown) > 1 else INK)
        for name, values in (("x", [p.x for p in shown]), ("y", [p.y for p in shown])):
            set_log_axis(axes, "x" if name == "x" else "y", np.concatenate(values))
        low = min(float(p.y.min()) for p in shown)
        axes.set_ylim(bottom=low / 2)  # bounds go to 0
        axes.set_title(title)
        axes.set_xlabel(array_label(spec.x, wording))
        axes.set_ylabel(array_label(spec.y, wording))
        marks = [] if shown[0].is_right is None else [("o", "classified rightly"), ("x", "wrongly")]
        for marker, text in marks:
            axes.add_line(Line2D([], [], linestyle="", marker=marker, color=INK, markersize=4, label=text))
        if axes.get_legend_handles_labels()[0]:
            add_legend(figure, axes, max_columns=2)

    description = f"{array_label(spec.y, wording)} against {array_label(spec.x, wording)} of single inputs; {title}"
    return render_svg(key, description.replace("\n", "; "), draw)


def class_bounds(losses: np.ndarray, *, mean_square: float, n_classes: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of ‖J_y‖₂ by the loss, novak2018, eq. 5; the lower is also that of ‖J‖_F, eq. 6.

    As :func:`nas_sens.metrics.jacobian_bounds.class_bounds` does, for figures, which are drawn without PyTorch.

    Args:
        losses: Cross-entropies (n,) in nats.
        mean_square: M.
        n_classes: K.
    """
    shape = np.exp(-losses) * -np.expm1(-losses)
    return math.sqrt(n_classes * mean_square / (n_classes - 1)) * shape, math.sqrt(2 * mean_square) * shape


def expected_norm(losses: np.ndarray, *, mean_square: float, n_classes: float) -> np.ndarray:
    """Return ‖J‖_F where all wrong classes are equally probable, novak2018, eq. 7; arguments as above."""
    inner = np.sqrt(n_classes**2 * np.exp(-2 * losses) + n_classes - 2)
    return math.sqrt(mean_square) / (n_classes - 1) * -np.expm1(-losses) * inner


def _points(t: TrainedCandidate, spec: FigureSpec) -> Points | None:
    arrays = arrays_of(t, spec.recording, spec.epoch)
    if spec.x not in arrays or spec.y not in arrays:
        return None
    x, y = (np.array(arrays[name], dtype=float) for name in (spec.x, spec.y))
    there = (x > 0) & (y > 0)  # not a number is neither
    right = np.array(arrays["is_right"], dtype=float)[there] > 0.5 if "is_right" in arrays else None
    return Points(t, x[there], y[there], right, arrays) if there.any() else None


def _draw_bounds(axes: Axes, p: Points, spec: FigureSpec, colour: Any) -> None:
    grid = np.geomspace(p.x.min(), p.x.max(), 300)
    lower, upper = bounds_of(p.arrays, spec.y, grid)
    is_class = spec.y == "class_norm"
    is_first = not any(line.get_linestyle() == "--" for line in axes.lines)
    names = ("lower bound (eq. 5)", "upper bound (eq. 5)") if is_class else ("lower bound (eq. 6)", "expected (eq. 7)")
    axes.plot(grid, lower, color=colour, linestyle="--", linewidth=1, label=names[0] if is_first else None)
    axes.plot(grid, upper, color=colour, linestyle="-", linewidth=1, label=names[1] if is_first else None)


def bounds_of(arrays: Mapping[str, Any], y: str, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what a network's norms are compared with: eq. 5 for ``class_norm``, eq. 6 and 7 for ``jacobian_norm``.

    Args:
        arrays: A record of points.
        y: Which norm.
        losses: Where (n,).
    """
    scale = {"mean_square": float(arrays["mean_square"]), "n_classes": float(arrays["n_classes"])}
    lower, upper = class_bounds(losses, **scale)
    return (lower, upper) if y == "class_norm" else (lower, expected_norm(losses, **scale))


def _statistics(shown: Sequence[Points], spec: FigureSpec) -> list[str]:
    lines = []
    from scipy import stats  # takes a second, which reports of few networks can save

    found = [float(stats.spearmanr(p.x, p.y).statistic) for p in shown if len(p.x) > 4]
    if found:
        ends = number(min(found), 2) if len(found) == 1 else f"{number(min(found), 2)} to {number(max(found), 2)}"
        count = "" if len(found) == 1 else f" within {len(found)} networks"
        lines.append(f"Spearman {ends}{count}")
    shares = [wrong_at_the_top(p) for p in shown]
    if all(s is not None for s in shares):
        top, all_of_them = (100 * float(np.mean([s[k] for s in shares if s is not None])) for k in (0, 1))
        lines.append(f"wrong: {top:.0f} % of the top tenth, {all_of_them:.0f} % of all")
    if spec.bounds:
        within = [_share_within(p, spec.y) for p in shown]
        what = "between the bounds" if spec.y == "class_norm" else "not below the bound"
        lines.append(f"{what}: {100 * float(np.mean(within)):.0f} % of points")
    return lines


def wrong_at_the_top(p: Points) -> tuple[float, float] | None:
    """Return the share of wrong ones among the tenth of inputs with the largest y, and among all."""
    if p.is_right is None:
        return None
    n = max(1, round(_TOP * len(p.y)))
    top = np.argsort(p.y, kind="stable")[-n:]
    return float(1 - p.is_right[top].mean()), float(1 - p.is_right.mean())


def _share_within(p: Points, y: str) -> float:
    lower, upper = bounds_of(p.arrays, y, p.x)
    return float(((p.y >= lower) & ((p.y <= upper) | (y != "class_norm"))).mean())
