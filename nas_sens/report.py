"""The report of a study: one HTML file that needs nothing else, neither network nor scripts, to be read.

Selection saw validation figures only; test figures appear here for the first time. The page is a pure function of its
input: the same records give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from . import figures
from .errors import InvalidInputError
from .records import ScoredCandidate, TrainedCandidate
from .report_tables import (
    MAX_REASONS,
    PARAMETERS,
    SENSITIVITY,
    SENSITIVITY_AFTER,
    CorrelationMatrix,
    correlation_matrix,
    correlation_rows,
    difference_rows,
    protocol_rows,
    reason_groups,
    winner_rows,
)
from .report_text import (
    OUTCOMES,
    Wording,
    best_text,
    counts_text,
    group_differences,
    interval_text,
    ranked,
    relation_texts,
    verdict_text,
    wording_of,
)
from .statistics import Correlations


@dataclass(frozen=True)
class Panel:
    """One picture of the page: its heading, its SVG element, or what is missing for it."""

    heading: str
    svg: str | None
    missing: str


def write_report(
    path: str | os.PathLike[str],
    *,
    name: str,
    protocol: Mapping[str, Any],
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    extra_notes: Sequence[str] = (),
) -> Path:
    """Write the report of a study and return its path; an existing file is replaced as a whole or not at all.

    Args:
        path: The HTML file; its folder is made if needed.
        name: Name of the study.
        protocol: Nested JSON-like settings of the study, shown as a table; ``data.task`` decides what losses and errors
            are called.
        candidates: All unique candidates of the study, scored or not.
        trained: All candidates that were trained, successfully or not.
        extra_notes: Remarks of the caller that are shown with the summary.

    Raises:
        InvalidInputError: The file cannot be written.
    """
    page = render_report(name=name, protocol=protocol, candidates=candidates, trained=trained, extra_notes=extra_notes)
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(page, encoding="utf-8", newline="\n")
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInputError(
            f"the report needs a writable file, cannot write {target}: {error.strerror}; give another path"
        ) from error
    return target


def render_report(
    *,
    name: str,
    protocol: Mapping[str, Any],
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    extra_notes: Sequence[str] = (),
) -> str:
    """Return the report of a study as one HTML page; arguments as in :func:`write_report`.

    The page renders with few, failed or no candidates too, and says then what is missing. Time grows with the square of
    the number of trained candidates; 10,000 scored candidates and 60 trained ones take a few seconds.
    """
    wording = wording_of(protocol)
    matrix = correlation_matrix(trained)
    differences = group_differences(trained)
    groups = reason_groups(candidates, trained)
    environment = Environment(
        loader=PackageLoader("nas_sens"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        name=name,
        wording=wording,
        counts=counts_text(candidates, trained),
        best=best_text(trained),
        relations=relation_texts(matrix[SENSITIVITY]),
        verdicts=[verdict_text(outcome, differences[outcome]) for outcome in ("test error", "test loss")],
        extra_notes=list(extra_notes),
        n_trained=len(trained),
        n_ranked=len(ranked(trained)),
        winners=winner_rows(candidates, trained),
        outcome_panels=_outcome_panels(trained, matrix, wording),
        distribution=_distribution(candidates, trained),
        curve_panels=_curve_panels(trained, wording),
        after_panel=_after_panel(trained, matrix, wording),
        outcomes=[f"log₁₀ {outcome}" if is_loss else outcome for outcome, _, is_loss in OUTCOMES],
        correlations=correlation_rows(matrix),
        differences=difference_rows(differences),
        groups=groups[:MAX_REASONS],
        n_more_groups=max(0, len(groups) - MAX_REASONS),
        n_more_excluded=sum(g.n for g in groups[MAX_REASONS:]),
        protocol=protocol_rows(protocol),
    )


def _title(correlation: Correlations) -> str:
    if correlation.spearman is None:
        return f"no correlation: {correlation.reason}"
    return f"Spearman {interval_text(correlation.spearman)}, n = {correlation.n}"


def _outcome_panels(trained: Sequence[TrainedCandidate], matrix: CorrelationMatrix, wording: Wording) -> list[Panel]:
    """Return S before and parameters against test loss and test error, in reading order of two columns."""
    return [
        Panel(
            heading=f"{y_name.capitalize()} against {x_name}",
            svg=figures.outcome_figure(
                f"{x_key}-{y_key}",
                trained,
                x,
                y,
                title=_title(matrix[measure][y_name]),
                description=f"Scatter plot of {y_name} against {x_name}; {_title(matrix[measure][y_name])}.",
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


def _distribution(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> Panel:
    description = "Scatter plot of log₁₀ S before training against the number of parameters of all scored candidates."
    return Panel(
        heading="log₁₀ S against the number of parameters; trained networks are ringed",
        svg=figures.distribution_figure("distribution", candidates, trained, description=description),
        missing="No candidate has a score.",
    )


def _curve_panels(trained: Sequence[TrainedCandidate], wording: Wording) -> list[Panel]:
    return [
        Panel(
            heading="Validation loss while training",
            svg=figures.curves_figure(
                "curves",
                trained,
                unit=wording.loss_unit,
                description="Validation loss after each epoch of every trained network.",
            ),
            missing="No trained candidate has a training curve.",
        ),
        Panel(
            heading="Best validation loss so far",
            svg=figures.best_so_far_figure(
                "best",
                trained,
                unit=wording.loss_unit,
                description="Smallest validation loss found against the number of networks trained.",
            ),
            missing="No trained candidate has a validation loss.",
        ),
    ]


def _after_panel(trained: Sequence[TrainedCandidate], matrix: CorrelationMatrix, wording: Wording) -> Panel:
    title = _title(matrix[SENSITIVITY_AFTER]["test loss"])
    return Panel(
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
    )
