"""The report of a study: one HTML file that needs nothing else, neither network nor scripts, to be read.

The answer comes first, then the networks; all else is folded under "Evidence" and "Protocol".

Selection saw validation figures only; test figures appear here for the first time. The page is a pure function of its
input: the same records give the same bytes.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.errors import InvalidInputError
from ..core.figures import Objective
from ..core.mistakes import Mistakes
from ..core.text import printable
from ..core.whole_file import whole_file
from ..results.report_file import check_report_file, mark
from ..statistics.alike_pairs import MOST_PARTNERS
from ..statistics.beside import MIN_TRIPLES
from ..statistics.bootstrap import MANY
from ..statistics.groups import N_PERMUTATIONS
from ..statistics.interval import Interval
from ..statistics.permutations import number_of_permutations
from ..study.select_spec import ranking_figure
from .answer import lights
from .contents import contents, ran_text
from .declared.figures import declared_panels
from .equal_size import at_equal_size, equal_size_rows, equal_size_text, intervals_of
from .figure_style import MOST_CURVES
from .hero import hero
from .hero_figure import hero_curve
from .interactive.section import explore_parts
from .lights import Trainings
from .mistakes_section import mistakes_section
from .numbers_as_text import count
from .outcomes import (
    SENSITIVITY,
    Trained,
    beside_table,
    columns,
    correlation_table,
    group_differences,
    in_order,
    intervals,
)
from .panels import after_panels, curve_panels, distribution_panel, outcome_panels, own_after_panels, rule_panel
from .part_of_page import part_of_page
from .prediction import loss_prediction, loss_text, rule_prediction, rule_text
from .prospects import prospects_text, without_prospects
from .refinement import optimism_text, refinement_lines
from .reliability import reliabilities
from .shown_figures import Shown, shown_figures
from .statistics_tables import beside_rows, correlation_rows, difference_rows, reliability_rows
from .tables import MAX_REASONS, protocol_groups, reason_groups, winner_rows
from .text import best_text, counts_text, ranked, ranked_by_text, ranking_label, scored_text, wording_of
from .verdict import directions_text, group_text, relation_texts
from .worst_ranks import needs_ranks


def write_report(
    path: str | os.PathLike[str],
    *,
    name: str,
    protocol: Mapping[str, Any],
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    mistakes: Mistakes | str = "",
) -> Path:
    """Write the report of a study; an earlier report of the study is replaced as a whole or not at all.

    Args:
        path: The HTML file; its folder is made if needed.
        name: Name of the study.
        protocol: Nested JSON-like settings of the study, shown as a table; ``data.task`` decides what losses and errors
            are called.
        candidates: All unique candidates of the study, scored or not.
        trained: All candidates that were trained, successfully or not.
        mistakes: What the best network takes for what, or why nobody knows; "" to say nothing of it.

    Returns:
        The path of the file.

    Raises:
        InvalidInputError: The file cannot be written, or is somebody else's.
    """
    check_report_file(path, name)
    page = render_report(name=name, protocol=protocol, candidates=candidates, trained=trained, mistakes=mistakes)
    target = check_report_file(path, name)  # it may have come meanwhile
    if str(target) == os.devnull:
        return Path(path)
    try:
        with whole_file(target) as file:
            file.write(page.encode())
    except OSError as error:
        raise InvalidInputError(
            f"the report needs a writable file, cannot write {target}: {error.strerror}; give another path"
        ) from error
    return Path(path)


def render_report(
    *,
    name: str,
    protocol: Mapping[str, Any],
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    mistakes: Mistakes | str = "",
) -> str:
    """Return the report of a study as one HTML page; arguments as in :func:`write_report`.

    The page renders with few, failed or no candidates too, and says then what is missing. The order of candidates and
    trained does not matter. 100,000 scored candidates and 60 trained ones take a few seconds, and so do 10,000 trained
    ones: time grows with their number, and the page has some 2 MB.
    """
    candidates = _in_order(candidates)
    trained = sorted(trained, key=lambda t: (t.number is None, t.number or 0, t.digest))
    shown, by = shown_figures(protocol, in_order(trained)), ranking_figure(protocol)
    of = Trainings(name=name, protocol=protocol, trained=trained, by=by)
    page: dict[str, Any] = {
        "name": printable(name),
        "mark": mark(name),
        "ran": ran_text(protocol, trained),
        "protocol": protocol_groups(without_prospects(protocol)),
        "next_command": f"nas-sens train {quote(name)}" if of.is_ours and any(c.is_ok for c in candidates) else None,
        "mistakes": mistakes_section(mistakes),
    }
    page |= _study(candidates, trained, by, shown, scored=scored_text(protocol)) | _findings(candidates, of, shown)
    page["contents"] = contents(page)
    return part_of_page("report.html.j2", **page)


def _in_order(candidates: Sequence[ScoredCandidate]) -> list[ScoredCandidate]:
    if all(c.number is not None for c in candidates):  # as they are read from a database
        return sorted(candidates, key=operator.attrgetter("number"))
    return sorted(candidates, key=lambda c: (c.number is None, c.number or 0, c.digest))


def _study(
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    by: Objective,
    shown: Shown,
    *,
    scored: str,
) -> dict[str, Any]:
    """Return what the page says of the study itself: counts, ranking, exclusions."""
    groups = reason_groups(candidates, trained)
    failed = [t for t in trained if not t.is_ok and not t.is_pruned]
    return {
        "counts": counts_text(candidates, trained, scored=scored),
        "best": best_text(trained, by, shown),
        "ranked_by": ranked_by_text(by),
        "ranking": ranking_label(by),
        "ranking_is_maximized": by.is_maximized,
        "n_trained": len(trained),
        "n_curves": sum(bool(t.curve) for t in trained),
        "most_curves": MOST_CURVES,
        "n_ranked": len(ranked(trained, by)),
        "n_failed": {group: sum(t.group == group for t in failed) for group in ("selected", "control")},
        "n_pruned": {
            group: sum(t.is_pruned and t.group == group for t in trained) for group in ("selected", "control")
        },
        "n_other": sum(t.group == "other" for t in trained),
        "winners": winner_rows(candidates, trained, by, shown.columns),
        "heads": [figure.head for figure in shown.columns],
        "n_left_out": shown.n_left_out,
        "groups": groups[:MAX_REASONS],
        "n_more_groups": max(0, len(groups) - MAX_REASONS),
        "n_more_excluded": sum(g.n for g in groups[MAX_REASONS:]),
    }


def _by_group(trained: Sequence[TrainedCandidate]) -> dict[str, int]:
    """Return how many are of either group that is compared."""
    return {group: sum(t.group == group for t in trained) for group in ("selected", "control")}


def _of_intervals(found: Sequence[Interval], data: Trained) -> dict[str, Any]:
    """Return how many intervals the page has, how many of them miss by chance or leave 0 out, and how they are made."""
    return {
        "n_intervals": count(len(found)),
        "n_missing_by_chance": count(round(0.05 * len(found))),
        "n_excluding": count(sum(interval.excludes_zero for interval in found)),
        "are_many": len(data.groups) > MANY,
        "many": MANY,
        "n_resamples": count(data.n_resamples),
        "n_permutations": count(number_of_permutations(len(data.groups), N_PERMUTATIONS)),
        "min_triples": MIN_TRIPLES,
    }


def _findings(candidates: Sequence[ScoredCandidate], of: Trainings, shown: Shown) -> dict[str, Any]:
    """Return what the page says of the measures: the answer, statistics, sentences, figures."""
    protocol, trained, by = of.protocol, of.trained, of.by
    wording = wording_of(protocol, (name for t in trained for name in t.figures))
    figures, target, primary = shown.figures, shown.target, shown.primary
    data = columns(candidates, trained, figures, drops_empty=shown.is_own)
    table, fits, differences = correlation_table(data), beside_table(data), group_differences(data, figures)
    reliable = reliabilities(candidates, trained, figures)
    loss, rule = loss_prediction(trained), rule_prediction(trained, target)
    after = (
        own_after_panels(trained, table, wording, primary)
        if shown.is_own
        else after_panels(trained, table, loss, wording)
    )
    beyond_size = at_equal_size(data, trained, by)
    found = [
        *intervals(table, fits),
        *intervals_of(beyond_size),
        *(d.interval for d in differences.values() if d.interval),
    ]
    best = hero(of.name, protocol, trained, by, shown)
    curve = hero_curve(best.network, shown.curve, wording, step=shown.step) if best else None
    trade_off, searched = explore_parts(candidates, trained, protocol, shown, wording)
    return {
        "trade_off": trade_off,
        "searched": searched,
        "hero": best,
        "hero_curve": curve,
        "lights": lights(of, data, shown, found=beyond_size[SENSITIVITY]),
        "declared_panels": declared_panels(protocol, in_order(trained), wording),
        "wording": wording,
        "refinement": refinement_lines(protocol, trained),
        "optimism": optimism_text(protocol, trained),
        "prospects": prospects_text(protocol, len(trained), target, wording.loss_unit),
        "by_ranks": needs_ranks(trained),
        "shown": shown,
        "has_losses": any(figure.kind == "loss" for figure in figures),
        "directions": directions_text(shown),
        "group_texts": [group_text(figure, differences[figure.label]) for figure in shown.judged],
        "relations": relation_texts(table[SENSITIVITY], fits[SENSITIVITY]),
        **_of_intervals(found, data),
        "outcomes": [figure.scaled_label for figure in figures],
        "correlations": correlation_rows(table),
        "beside": beside_rows(fits),
        "equal_size": equal_size_rows(beyond_size),
        "equal_size_text": equal_size_text(beyond_size[SENSITIVITY], by),
        "most_partners": MOST_PARTNERS,
        "differences": difference_rows(differences, figures),
        "reliabilities": reliability_rows(reliable),
        "loss_prediction": loss_text(loss, wording.predicted_by),
        "rule_prediction": rule_text(rule, target, wording.loss_unit) if rule else None,
        "outcome_panels": outcome_panels(trained, table, wording, shown),
        "distribution": distribution_panel(candidates, trained),
        "curve_panels": curve_panels(trained, wording, by, shown),
        "after_panels": after,
        "rule_panel": rule_panel(trained, rule, target, wording) if rule else None,
    }
