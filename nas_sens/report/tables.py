"""Tables of the report: plain rows of text made from records, ready for the page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.candidates import STATUS_OK, ScoredCandidate, TrainedCandidate, describe
from ..core.compact import compact
from ..core.figures import Objective
from ..core.short_names import short_names
from .numbers_as_text import MISSING, count, plain, with_spread
from .shown_figures import ShownFigure
from .text import ranked

MAX_WINNERS = 20
MAX_REASONS = 30
_TITLES = {
    **{"search_space": "Search space", "data": "Data", "score": "Score", "search": "Search", "select": "Selection"},
    **{"train": "Training", "refine": "Refinement", "optuna": "The Optuna study"},
}


@dataclass(frozen=True)
class ReasonGroup:
    """Candidates that are never ranked for one and the same reason.

    Attributes:
        kind: "infeasible", "failed", "training failed" or "pruned".
        reason: The reason, with "…" for numbers that differ.
        n: Number of candidates.
        example: One candidate of them, in words.
    """

    kind: str
    reason: str
    n: int
    example: str


def winner_rows(
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    by: Objective,
    figures: Sequence[ShownFigure],
) -> list[dict[str, Any]]:
    """Return the best trained candidates by a figure, at most ``MAX_WINNERS``, as texts by column."""
    stderrs = {c.digest: c.stderr for c in candidates}
    best = ranked(trained, by)[:MAX_WINNERS]
    return [
        {
            "rank": rank,
            "name": name,
            "architecture": t.description,
            "params": count(t.params),
            "flops": compact(t.flops),
            "chosen_by": t.chosen_by,
            "reason": t.reason,
            "log10_s": with_spread(*map(plain, (t.log10_sensitivity_before, stderrs.get(t.digest)))),
            "figures": [figure.text_of(t) for figure in figures],
            "n_seeds": t.n_seeds,
        }
        for rank, (t, name) in enumerate(zip(best, short_names(best), strict=True), start=1)
    ]


def reason_groups(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> list[ReasonGroup]:
    """Return the candidates that are never ranked, grouped by reason, the largest group first.

    Reasons that differ only in their numbers ("120 parameters, at most 100 allowed") are one group.
    """
    excluded = [("failed" if c.feasible else "infeasible", c.status, c.architecture) for c in candidates if not c.is_ok]
    excluded += [
        ("pruned" if t.is_pruned else "training failed", t.status, t.architecture) for t in trained if not t.is_ok
    ]
    excluded = [(kind, "no reason recorded" if s == STATUS_OK else s, a) for kind, s, a in excluded]
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for kind, reason, architecture in excluded:
        pattern = re.sub(r"\d+(?:[.,_]\d+)*(?:e[+-]?\d+)?", "…", reason)
        groups.setdefault((kind, pattern), []).append((reason, architecture))
    rows = []
    for (kind, pattern), members in groups.items():
        is_one_reason = len(Counter(reason for reason, _ in members)) == 1
        reason, architecture = members[0]
        rows.append(ReasonGroup(kind, reason if is_one_reason else pattern, len(members), describe(architecture)))
    return sorted(rows, key=lambda g: (-g.n, g.kind, g.reason))


def protocol_groups(protocol: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return a protocol as rows under headings: one for each section of a study's file, the rest under "Study"."""
    sections = {key: value for key, value in protocol.items() if isinstance(value, Mapping) and value}
    rest = {key: value for key, value in protocol.items() if key not in sections}
    groups = [("Study", protocol_rows(rest))] if rest else []
    return groups + [(_TITLES.get(key, key), protocol_rows({key: value})) for key, value in sections.items()]


def protocol_rows(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a nested protocol as rows of (dotted key, value in words), in its own order."""
    return list(_flatten(protocol, ""))


def _flatten(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        path = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            yield from _flatten(item, f"{path}.")
        else:
            yield path, _value_text(item)


def _value_text(value: Any) -> str:
    if value is None or value in ({}, [], ()):
        return MISSING
    if isinstance(value, (list, tuple)) and not any(isinstance(v, (list, tuple, Mapping)) for v in value):
        return ", ".join(map(_value_text, value))
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
