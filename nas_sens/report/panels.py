"""The pictures of the report with their headings, and what stands in the place of one that cannot be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.figures import Objective
from ..statistics.correlations import Correlations
from . import figures, prediction_figures, progress_figures
from .figure_style import MOST_NETWORKS
from .numbers_as_text import interval_text
from .outcomes import PARAMETERS, SENSITIVITY, SENSITIVITY_AFTER, Table
from .prediction import Prediction
from .shown_figures import Shown, ShownFigure
from .text import Wording


@dataclass(frozen=True)
class Panel:
    """One picture of the page: its heading, its SVG element, or what is missing for it."""

    heading: str
    svg: str | None
    missing: str


def outcome_panels(trained: Sequence[TrainedCandidate], table: Table, wording: Wording, shown: Shown) -> list[Panel]:
    """Return S before and parameters against test loss and test error, in reading order of two columns.

    Of a trainer of the user's own, against what decides and one more figure.
    """
    return [
        Panel(
            heading=f"{_head(y)} against {x_name}",
            svg=figures.outcome_figure(
                f"{x_key}-{_key(y, shown)}",
                trained,
                x,
                figures.quantity_of(y, wording),
                title=_title(table[measure][y.label]),
                description=f"Scatter plot of {y.label} against {x_name}; {_title(table[measure][y.label])}.",
            ),
            missing=f"No trained candidate has both {y.label} and {x_name}.",
        )
        for x_name, x_key, x, measure in (
            ("log₁₀ S before training", "before", figures.LOG10_S_BEFORE, SENSITIVITY),
            ("the number of parameters", "params", figures.PARAMS, PARAMETERS),
        )
        for y in shown.pictured
    ]


def _head(figure: ShownFigure) -> str:
    """Return a figure's name as a heading begins; a user's own is left as it is."""
    return figure.label.capitalize() if figure.is_usual else figure.label


def _key(figure: ShownFigure, shown: Shown) -> str:
    """Return what tells the figure's pictures from others in the page; names of a user's own may be no ids."""
    return f"own{shown.figures.index(figure)}" if shown.is_own else figure.kind


def distribution_panel(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> Panel:
    """Return log10 S against the number of parameters of all scored candidates."""
    mark = "ringed" if len(trained) <= MOST_NETWORKS else "dark dots"
    description = "Scatter plot of log₁₀ S before training against the number of parameters of all scored candidates."
    return Panel(
        heading=f"log₁₀ S against the number of parameters; trained networks are {mark}",
        svg=figures.distribution_figure("distribution", candidates, trained, description=description),
        missing="No candidate has a score.",
    )


def curve_panels(trained: Sequence[TrainedCandidate], wording: Wording, by: Objective, shown: Shown) -> list[Panel]:
    """Return the training curves and the best so far."""
    curve, progress = shown.curve, shown.progress
    size = "Largest" if progress.is_maximized else "Smallest"
    return [
        Panel(
            heading=f"{_head(curve)} while training",
            svg=progress_figures.curves_figure(
                "curves",
                trained,
                by=by,
                figure=curve,
                axis=figures.quantity_of(curve, wording),
                step=shown.step,
                description=f"{_head(curve)} after each {shown.step} of every trained network.",
            ),
            missing="No trained candidate has a training curve.",
        ),
        Panel(
            heading=f"Best {progress.label} so far",
            svg=progress_figures.best_so_far_figure(
                "best",
                trained,
                figure=progress,
                axis=figures.quantity_of(progress, wording),
                description=f"{size} {progress.label} found against the number of networks trained.",
            ),
            missing=f"No trained candidate has a {progress.label}.",
        ),
    ]


def own_after_panels(
    trained: Sequence[TrainedCandidate], table: Table, wording: Wording, figure: ShownFigure
) -> list[Panel]:
    """Return a figure of a trainer of the user's own against S after training; nothing if no network has the latter."""
    if SENSITIVITY_AFTER not in table:
        return []
    title = _title(table[SENSITIVITY_AFTER][figure.label])
    return [
        Panel(
            heading=f"{_head(figure)} against log₁₀ S after training",
            svg=figures.outcome_figure(
                "after-own",
                trained,
                figures.LOG10_S_AFTER,
                figures.quantity_of(figure, wording),
                title=title,
                description=f"Scatter plot of {figure.label} against log₁₀ S after training; {title}.",
            ),
            missing=f"No trained candidate has both {figure.label} and log₁₀ S after training.",
        )
    ]


def after_panels(trained: Sequence[TrainedCandidate], table: Table, loss: Prediction, wording: Wording) -> list[Panel]:
    """Return the test loss against S after training, and against the loss predicted from it."""
    title = _title(table[SENSITIVITY_AFTER]["test loss"])
    agreement = _prediction_title(loss)
    return [
        Panel(
            heading="Test loss against log₁₀ S after training",
            svg=figures.outcome_figure(
                "after-loss",
                trained,
                figures.LOG10_S_AFTER,
                figures.with_unit(figures.TEST_LOSS, wording.loss_unit),
                title=title,
                description=f"Scatter plot of test loss against log₁₀ S after training; {title}.",
                predicted_by=wording.predicted_by,
            ),
            missing="No trained candidate has both a test loss and log₁₀ S after training.",
        ),
        Panel(
            heading=f"Test loss against the loss predicted by {wording.predicted_by}",
            svg=prediction_figures.loss_agreement_figure(
                "predicted-loss",
                trained,
                unit=wording.loss_unit,
                title=agreement,
                description=f"Scatter plot of observed against predicted test loss; {agreement}.",
            ),
            missing="No trained candidate has both a test loss and a predicted one.",
        ),
    ]


def rule_panel(trained: Sequence[TrainedCandidate], rule: Prediction, target: ShownFigure, wording: Wording) -> Panel:
    """Return the rule's target against what the rule expected of it."""
    title = _prediction_title(rule)
    return Panel(
        heading=f"{_head(target)} against what the rule expected",
        svg=prediction_figures.rule_agreement_figure(
            "expected",
            trained,
            target=target,
            wording=wording,
            title=title,
            description=f"Scatter plot of observed {target.label} against what the rule expected; {title}.",
        ),
        missing=f"No trained candidate has both a {target.label} and an expectation of it.",
    )


def _title(correlation: Correlations) -> str:
    if correlation.spearman is None:
        return f"no correlation: {correlation.reason}"
    return f"Spearman {interval_text(correlation.spearman)}, n = {correlation.n}"


def _prediction_title(p: Prediction) -> str:
    return _title(p.order) if p.order else f"no correlation: {p.reason}"
