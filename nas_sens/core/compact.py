"""Large numbers in few characters."""

from __future__ import annotations

import math


def compact(value: float | None) -> str:
    """Return a large number with three significant digits and k, M, G or T, such as ``11.8k``; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    for suffix in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:.3g}T"
