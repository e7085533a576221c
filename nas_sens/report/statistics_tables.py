"""Tables of the report's statistics: plain rows of text, ready for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..statistics.beside import Beside
from ..statistics.correlations import Correlations
from ..statistics.groups import Difference
from ..statistics.interval import Interval
from .numbers_as_text import MISSING, interval_text, number_interval_text, p_text, plain, signed, signed_number
from .outcomes import BesideTable, Table
from .reliability import Reliability
from .shown_figures import ShownFigure
from .verdict import in_own_sign


def correlation_rows(table: Table) -> list[dict[str, Any]]:
    """Return one row per measure, one cell per outcome: lines of (coefficient, text, is the interval beside zero)."""
    return [{"measure": measure, "cells": [_correlations(c) for c in row.values()]} for measure, row in table.items()]


def beside_rows(table: BesideTable) -> list[dict[str, Any]]:
    """Return rows as :func:`correlation_rows` does, of what measures say beside the number of parameters."""
    return [{"measure": measure, "cells": [_beside(c) for c in row.values()]} for measure, row in table.items()]


def difference_rows(differences: Mapping[str, Difference], figures: Sequence[ShownFigure]) -> list[dict[str, str]]:
    """Return two rows per outcome, mean and best: both groups, their difference, the p-value or why there is none.

    A figure of which nobody said what is better has no best.
    """
    rows = []
    for figure in figures:
        d, name = differences[figure.label], figure.label
        unit = {"error": f"{name} (percentage points)", "loss": f"log₁₀ {name}", "number": name}[figure.kind]
        best = None if d.best_a is None or d.best_b is None else d.best_a - d.best_b
        interval = None if d.interval is None else in_own_sign(figure, d.interval)
        rows += [
            {
                "outcome": f"Mean {unit}",
                "selected": f"{_level(figure, d.mean_a)} (n = {d.n_a})",
                "control": f"{_level(figure, d.mean_b)} (n = {d.n_b})",
                "difference": _gap(figure, interval) if interval else d.reason or MISSING,
                "p_value": MISSING if d.p_value is None else p_text(d.p_value),
            },
            {
                "outcome": f"Best {unit}",
                "selected": f"{_level(figure, d.best_a)} (of {d.n_best})",
                "control": f"{_level(figure, d.best_b)} (of {d.n_best})",
                "difference": MISSING if best is None else _gap(figure, figure.objective.as_loss(best)),
                "p_value": MISSING if d.best_p_value is None else p_text(d.best_p_value),
            },
        ][: 1 if figure.is_maximized is None else 2]
    return rows


def reliability_rows(found: Mapping[str, Reliability]) -> list[dict[str, str]]:
    """Return one row per quantity: reliability, pairs that change places and ceiling, or why there are none."""
    rows = []
    for name, r in found.items():
        n_pairs = r.n * (r.n - 1) // 2
        rows.append(
            {
                "quantity": name,
                "n": str(r.n),
                "reliability": interval_text(r.value) if r.value else r.reason or MISSING,
                "swapped": MISSING
                if r.swapped is None
                else f"{100 * r.swapped:.1f}\N{NO-BREAK SPACE}% ({r.swapped * n_pairs:.0f} of {n_pairs})",
                "ceiling": plain(r.ceiling),
            }
        )
    return rows


def _level(figure: ShownFigure, loss: float | None) -> str:
    if loss is None:
        return MISSING
    return plain(loss, 3) if figure.kind == "loss" else figure.text(figure.objective.as_loss(loss))


def _gap(figure: ShownFigure, found: Interval | float) -> str:
    if figure.kind == "number":
        return number_interval_text(found) if isinstance(found, Interval) else signed_number(found)
    scale, digits = (100.0, 2) if figure.kind == "error" else (1.0, 3)
    return interval_text(found, scale, digits) if isinstance(found, Interval) else signed(found * scale, digits)


def _correlations(c: Correlations) -> dict[str, Any]:
    return _cell(c.n, c.reason, Pearson=c.pearson, Spearman=c.spearman, Kendall=c.kendall)


def _beside(c: Beside) -> dict[str, Any]:
    return _cell(c.n, c.reason, Pearson=c.pearson, Spearman=c.spearman, slope=c.slope)


def _cell(n: int, reason: str | None, **named: Interval | None) -> dict[str, Any]:
    lines = [(name, interval_text(i), i.excludes_zero) for name, i in named.items() if i is not None]
    return {"lines": lines, "reason": reason, "n": n}
