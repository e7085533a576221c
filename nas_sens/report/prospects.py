"""What further trainings are expected to gain, as the study keeps it, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..selection.prospects import AHEAD
from ..storage.attribute_types import LAST_RUN, PROSPECTS
from .numbers_as_text import number
from .shown_figures import ShownFigure

_KEPT = (LAST_RUN, "latency_ms", "figures")
_LEAST_POINTS = 0.01  # percentage points, which errors are printed in with two decimals


def prospects_text(protocol: Mapping[str, Any], n_trained: int, target: ShownFigure, loss_unit: str) -> str | None:
    """Return what training on is expected to gain.

    Args:
        protocol: The study as stored.
        n_trained: How many trainings it has now.
        target: What its rule makes better.
        loss_unit: Unit of a loss.

    Returns:
        A sentence; None if that is not known, or was said before the latest trainings.
    """
    select = protocol.get("select")
    expected = select.get(PROSPECTS) if isinstance(select, Mapping) else None
    if expected is None or expected["n_trained"] != n_trained:
        return None
    one, ten = (_text(expected[key], target, loss_unit) for key in ("next_one", "next_ten"))
    return (
        f"By what its rule has learnt, another training is expected to improve the best {target.label} by {one}, the "
        f"next {AHEAD} by {ten}."
    )


def _text(gain: float, target: ShownFigure, loss_unit: str) -> str:
    if target.kind == "error":
        points = number(100 * gain, 2) if 100 * gain >= _LEAST_POINTS else f"less than {_LEAST_POINTS}"
        return f"{points} percentage points"
    return f"{number(gain, 2)} {loss_unit if target.kind == 'loss' else ''}".rstrip()


def without_prospects(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol of what was declared: without what the study expects at its end, and what it kept of itself."""
    protocol = {key: value for key, value in protocol.items() if key not in _KEPT}
    select = protocol.get("select")
    if not isinstance(select, Mapping):
        return protocol
    return {**protocol, "select": {key: value for key, value in select.items() if key != PROSPECTS}}
