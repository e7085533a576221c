"""Figures of predicted against observed, as inline SVG; pure and deterministic as those of `figures`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.candidates import TrainedCandidate
from .figure_style import GROUP_STYLES, INK, MOST_NETWORKS, add_legend, render_svg
from .figures import TEST_LOSS, Quantity, draw_group, drawable_groups, quantity_of, set_axis, with_unit
from .prediction import Z95
from .shown_figures import ShownFigure
from .text import Wording

_PREDICTED_LOSS = replace(TEST_LOSS, label="predicted test loss", get=lambda t: t.predicted_loss, get_sd=lambda _: None)
_EXPECTED = Quantity(
    label="expected by the rule",
    get=lambda t: t.predicted_mean,
    get_sd=lambda t: t.predicted_sd,
)


def loss_agreement_figure(
    key: str, trained: Sequence[TrainedCandidate], *, unit: str, title: str, description: str
) -> str | None:
    """Return the observed test loss against the one that the bias–variance relation predicts."""
    return _agreement_figure(
        key, trained, with_unit(_PREDICTED_LOSS, unit), with_unit(TEST_LOSS, unit), title, description
    )


def rule_agreement_figure(
    key: str,
    trained: Sequence[TrainedCandidate],
    *,
    target: ShownFigure,
    wording: Wording,
    title: str,
    description: str,
) -> str | None:
    """Return the rule's target against what it expected, with its 95 % intervals.

    Not on logarithmic axes: what a rule expects is an interval that may reach below zero.
    """
    found = quantity_of(target, wording, may_be_log=False)
    label = found.label.replace(target.label, f"{target.label} expected by the rule", 1)
    return _agreement_figure(
        key, trained, replace(_EXPECTED, label=label, scale=found.scale), found, title, description
    )


def _agreement_figure(
    key: str, trained: Sequence[TrainedCandidate], x: Quantity, y: Quantity, title: str, description: str
) -> str | None:
    """Return y against x in one unit with the line of equality; bars of 1.96 sd of x and of one sd of y."""
    groups = drawable_groups(trained, x, y)
    if not groups:
        return None

    def draw(figure: Figure, axes: Axes) -> None:
        axes.set_title(title)
        shown: list[float] = []
        n_points = sum(map(len, groups.values()))
        for group, members in groups.items():
            xs, ys, x_sds = x.values(members), y.values(members), x.sds(members)
            if (x_sds > 0).any() and n_points <= MOST_NETWORKS:
                colour = GROUP_STYLES[group][0]
                axes.errorbar(xs, ys, xerr=Z95 * x_sds, fmt="none", ecolor=colour, alpha=0.45, elinewidth=1)
            draw_group(axes, xs, ys, y.sds(members), group, n_points=n_points, has_zero=y.has_zero)
            shown += [*xs, *ys]
        ends = [min(shown), max(shown)]
        axes.plot(ends, ends, color=INK, linestyle=":", label="equal")
        set_axis(axes, "x", x, shown)
        set_axis(axes, "y", y, shown)
        add_legend(figure, axes)

    return render_svg(key, description, draw)
