"""Tables of the report's statistics: plain rows of text, ready for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..statistics.beside import Beside
from ..statistics.correlations import Correlations
from ..statistics.groups import Difference
from ..statistics.interval import Interval
from .numbers_as_text import MISSING, interval_text, p_text, percent, plain, signed
from .outcomes import BesideTable, Table
from .reliability import Reliability


def correlation_rows(table: Table) -> list[dict[str, Any]]:
    """Return one row per measure, one cell per outcome: lines of (coefficient, text, is the interval beside zero)."""
    return [{"measure": measure, "cells": [_correlations(c) for c in row.values()]} for measure, row in table.items()]


def beside_rows(table: BesideTable) -> list[dict[str, Any]]:
    """Return rows as :func:`correlation_rows` does, of what measures say beside the number of parameters."""
    return [{"measure": measure, "cells": [_beside(c) for c in row.values()]} for measure, row in table.items()]


def difference_rows(differences: Mapping[str, Difference]) -> list[dict[str, str]]:
    """Return two rows per outcome, mean and best: both groups, their difference, the p-value or why there is none."""
    rows = []
    for name, d in differences.items():
        is_error = name.endswith("error")
        scale, digits = (100.0, 2) if is_error else (1.0, 3)
        unit = f"{name} (percentage points)" if is_error else f"log₁₀ {name}"
        best = None if d.best_a is None or d.best_b is None else d.best_a - d.best_b
        rows += [
            {
                "outcome": f"Mean {unit}",
                "selected": f"{_level(d.mean_a, is_error)} (n = {d.n_a})",
                "control": f"{_level(d.mean_b, is_error)} (n = {d.n_b})",
                "difference": interval_text(d.interval, scale, digits) if d.interval else d.reason or MISSING,
                "p_value": MISSING if d.p_value is None else p_text(d.p_value),
            },
            {
                "outcome": f"Best {unit}",
                "selected": f"{_level(d.best_a, is_error)} (of {d.n_best})",
                "control": f"{_level(d.best_b, is_error)} (of {d.n_best})",
                "difference": MISSING if best is None else signed(best * scale, digits),
                "p_value": MISSING if d.best_p_value is None else p_text(d.best_p_value),
            },
        ]
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


def _level(value: float | None, is_error: bool) -> str:
    return MISSING if value is None else percent(value) if is_error else plain(value, 3)


def _correlations(c: Correlations) -> dict[str, Any]:
    return _cell(c.n, c.reason, Pearson=c.pearson, Spearman=c.spearman, Kendall=c.kendall)


def _beside(c: Beside) -> dict[str, Any]:
    return _cell(c.n, c.reason, Pearson=c.pearson, Spearman=c.spearman, slope=c.slope)


def _cell(n: int, reason: str | None, **named: Interval | None) -> dict[str, Any]:
    lines = [(name, interval_text(i), i.excludes_zero) for name, i in named.items() if i is not None]
    return {"lines": lines, "reason": reason, "n": n}
