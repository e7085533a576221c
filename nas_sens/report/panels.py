"""The pictures of the report with their headings, and what stands in the place of one that cannot be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..statistics.correlations import Correlations
from . import figures, prediction_figures, progress_figures
from .figure_style import MOST_NETWORKS
from .numbers_as_text import interval_text
from .outcomes import PARAMETERS, SENSITIVITY, SENSITIVITY_AFTER, Table
from .prediction import Prediction
from .text import Wording


@dataclass(frozen=True)
class Panel:
    """One picture of the page: its heading, its SVG element, or what is missing for it."""

    heading: str
    svg: str | None
    missing: str


def outcome_panels(trained: Sequence[TrainedCandidate], table: Table, wording: Wording) -> list[Panel]:
    """Return S before and parameters against test loss and test error, in reading order of two columns."""
    return [
        Panel(
            heading=f"{y_name.capitalize()} against {x_name}",
            svg=figures.outcome_figure(
                f"{x_key}-{y_key}",
                trained,
                x,
                y,
                title=_title(table[measure][y_name]),
                description=f"Scatter plot of {y_name} against {x_name}; {_title(table[measure][y_name])}.",
            ),
            missing=f"No trained candidate has both {y_name} and {x_name}.",
        )
        for x_name, x_key, x, measure in (
            ("log₁₀ S before training", "before", figures.LOG10_S_BEFORE, SENSITIVITY),
            ("the number of parameters", "params", figures.PARAMS, PARAMETERS),
        )
        for y_name, y_key, y in (
            ("test loss", "loss", figures.with_unit(figures.TEST_LOSS, wording.loss_unit)),
            ("test error", "error", figures.with_unit(figures.TEST_ERROR, wording.error_unit)),
        )
    ]


def distribution_panel(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> Panel:
    """Return log10 S against the number of parameters of all scored candidates."""
    mark = "ringed" if len(trained) <= MOST_NETWORKS else "dark dots"
    description = "Scatter plot of log₁₀ S before training against the number of parameters of all scored candidates."
    return Panel(
        heading=f"log₁₀ S against the number of parameters; trained networks are {mark}",
        svg=figures.distribution_figure("distribution", candidates, trained, description=description),
        missing="No candidate has a score.",
    )


def curve_panels(trained: Sequence[TrainedCandidate], wording: Wording, by: str) -> list[Panel]:
    """Return the training curves and the best validation loss so far."""
    return [
        Panel(
            heading="Validation loss while training",
            svg=progress_figures.curves_figure(
                "curves",
                trained,
                by=by,
                unit=wording.loss_unit,
                description="Validation loss after each epoch of every trained network.",
            ),
            missing="No trained candidate has a training curve.",
        ),
        Panel(
            heading="Best validation loss so far",
            svg=progress_figures.best_so_far_figure(
                "best",
                trained,
                unit=wording.loss_unit,
                description="Smallest validation loss found against the number of networks trained.",
            ),
            missing="No trained candidate has a validation loss.",
        ),
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


def rule_panel(trained: Sequence[TrainedCandidate], rule: Prediction, target: str, wording: Wording) -> Panel:
    """Return the rule's target, "val_error" or "val_loss", against what the rule expected of it."""
    title = _prediction_title(rule)
    name, unit = ("loss", wording.loss_unit) if target == "val_loss" else ("error", wording.error_unit)
    return Panel(
        heading=f"Validation {name} against what the rule expected",
        svg=prediction_figures.rule_agreement_figure(
            "expected",
            trained,
            target=target,
            unit=unit,
            title=title,
            description=f"Scatter plot of observed validation {name} against what the rule expected; {title}.",
        ),
        missing=f"No trained candidate has both a validation {name} and an expectation of it.",
    )


def _title(correlation: Correlations) -> str:
    if correlation.spearman is None:
        return f"no correlation: {correlation.reason}"
    return f"Spearman {interval_text(correlation.spearman)}, n = {correlation.n}"


def _prediction_title(p: Prediction) -> str:
    return _title(p.order) if p.order else f"no correlation: {p.reason}"
