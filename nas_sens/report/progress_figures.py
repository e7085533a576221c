"""Figures of how training and the search went on, as inline SVG; pure and deterministic as those of `figures`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..core.candidates import CONTROL, TrainedCandidate
from ..statistics.correlations import best_so_far
from .figure_style import (
    CONTROL_COLOUR,
    MAX_VECTOR_POINTS,
    MOST_CURVES,
    MOST_NETWORKS,
    SELECTED_COLOUR,
    add_legend,
    render_svg,
    set_log_axis,
    thinned,
)
from .text import ranked


def curves_figure(key: str, trained: Sequence[TrainedCandidate], *, by: str, unit: str, description: str) -> str | None:
    """Return the validation loss after each epoch of all trained networks, log axis, the best by ``by`` emphasised.

    Of more than ``MOST_CURVES`` curves so many are drawn, evenly spread over the ranking and the pruned ones behind it.
    """
    drawn = [(t, curve) for t in _spread(trained, by) if np.isfinite(curve := _positive(t.curve)).any()]
    if not drawn:
        return None
    best = next(iter(ranked(trained, by)), None)
    n_values = sum(len(curve) for _, curve in drawn)
    labels = {False: "selected", True: "control"}

    def draw(figure: Figure, axes: Axes) -> None:
        for t, curve in drawn:
            is_control = t.chosen_by == CONTROL
            axes.plot(
                np.arange(1, len(curve) + 1),
                curve,
                color=CONTROL_COLOUR if is_control else SELECTED_COLOUR,
                linestyle="--" if is_control else "-",
                linewidth=2.6 if t is best else 1.0,
                alpha=1.0 if t is best else 0.6,
                marker="o" if len(curve) == 1 else None,
                zorder=3 if t is best else 2,
                rasterized=n_values > 10 * MAX_VECTOR_POINTS,
                label=labels.pop(is_control, None),
            )
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        values = np.concatenate([curve[np.isfinite(curve)] for _, curve in drawn])
        axes.set_ylabel(f"validation loss ({unit}, log axis)")
        set_log_axis(axes, "y", values)
        add_legend(figure, axes)

    return render_svg(key, description, draw)


def _spread(trained: Sequence[TrainedCandidate], by: str) -> Sequence[TrainedCandidate]:
    """Return the networks whose curves are drawn."""
    having = [t for t in trained if t.curve]
    if len(having) <= MOST_CURVES:
        return having
    ranking = [t for t in ranked(trained, by) if t.curve]
    there = {t.digest for t in ranking}
    return thinned([*ranking, *(t for t in having if t.digest not in there)], MOST_CURVES)


def best_so_far_figure(key: str, trained: Sequence[TrainedCandidate], *, unit: str, description: str) -> str | None:
    """Return the smallest validation loss found so far against the number of networks trained, per group."""
    in_order = sorted(trained, key=lambda t: (t.number is None, t.number or 0))
    series = {}
    for is_control in (False, True):
        losses = [t.val_loss if t.is_ok else None for t in in_order if (t.chosen_by == CONTROL) is is_control]
        best = best_so_far([loss if loss is not None and loss > 0 else None for loss in losses])
        if np.isfinite(best).any():
            series[is_control] = best
    if not series:
        return None

    def draw(figure: Figure, axes: Axes) -> None:
        for is_control, best in series.items():
            places = np.arange(len(best))
            if len(best) > MOST_NETWORKS:  # the ends of the steps are the whole line
                places = np.flatnonzero(np.append(True, best[1:] != best[:-1]) | (places == len(best) - 1))
            axes.step(
                places + 1,
                best[places],
                where="post",
                color=CONTROL_COLOUR if is_control else SELECTED_COLOUR,
                linestyle="--" if is_control else "-",
                marker="^" if is_control else "o",
                markersize=5 if len(best) <= 50 else 0,
                label="control" if is_control else "selected",
            )
        axes.set_xlabel("networks trained in the group")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        values = np.concatenate([best[np.isfinite(best)] for best in series.values()])
        axes.set_ylabel(f"best validation loss so far ({unit}, log axis)")
        set_log_axis(axes, "y", values)
        add_legend(figure, axes)

    return render_svg(key, description, draw)


def _positive(values: Iterable[float]) -> np.ndarray:
    """Return the values as an array, NaN where a logarithmic axis cannot show them."""
    array = np.array(list(values), dtype=np.float64)
    array[~(np.isfinite(array) & (array > 0))] = np.nan
    return array
