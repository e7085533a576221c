"""What was searched of every network, as flat parameters, and as axes beside each other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.compact import compact
from ..numbers_as_text import number
from .importances import is_number, is_wide

MOST_AXES = 9
_MOST_TICKS = 9  # where every value has one
_TICKS = 5  # else


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of parallel coordinates.

    Attributes:
        name: What it shows.
        ticks: Places on it, from 0 to 1, with their texts.
        places: Of each network; NaN where it has no such parameter.
    """

    name: str
    ticks: tuple[tuple[float, str], ...]
    places: tuple[float, ...]


def flat(architecture: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a network by name: places of a list are parameters of their own, ``depths_0``."""
    found: dict[str, Any] = {}
    for key, value in {**json.loads(architecture), **training}.items():
        if isinstance(value, list):
            found |= {f"{key}_{i}": v for i, v in enumerate(value)}
        else:
            found[key] = value
    return found


def differing(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values, row by row, of every parameter that differs; None where a row does not have it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    return {n: c for n, c in columns.items() if len(set(map(repr, c))) > 1 and _is_plain(c)}


def axis(name: str, values: Sequence[Any]) -> Axis:
    """Return a parameter, or a figure, as an axis: numbers in their order, everything else by name."""
    known = [v for v in values if v is not None]
    if known and all(map(is_number, known)):
        return _numeric(name, values, known)
    names = sorted(set(map(str, known)))
    place = {n: i / max(1, len(names) - 1) for i, n in enumerate(names)}
    step = math.ceil(len(names) / 12)
    return Axis(
        name=name,
        ticks=tuple((place[n], _cut(n)) for n in names[::step]),
        places=tuple(math.nan if v is None else place[str(v)] for v in values),
    )


def _numeric(name: str, values: Sequence[float | None], known: Sequence[float]) -> Axis:
    is_log = is_wide(known)
    low, high = min(known), max(known)

    def place(value: float) -> float:
        if high == low:
            return 0.5
        return math.log(value / low) / math.log(high / low) if is_log else (value - low) / (high - low)

    different = sorted(set(known))
    if len(different) > _MOST_TICKS:
        shares = [i / (_TICKS - 1) for i in range(_TICKS)]
        different = [low * (high / low) ** s if is_log else low + s * (high - low) for s in shares]
        if all(isinstance(v, int) for v in known):
            different = [round(v) for v in different]
    ticks = {_text(v): place(v) for v in different}
    return Axis(
        name=name,
        ticks=tuple((p, text) for text, p in ticks.items()),
        places=tuple(math.nan if v is None else place(v) for v in values),
    )


def _text(value: float) -> str:
    return compact(value) if abs(value) >= 1 or value == 0 else number(value, 2)


def _cut(text: str) -> str:
    return text if len(text) <= 12 else text[:11] + "…"


def _is_plain(column: Sequence[Any]) -> bool:
    return all(v is None or isinstance(v, (bool, int, float, str)) for v in column)
