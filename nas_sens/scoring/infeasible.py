"""Why candidates are infeasible, in one line: the most frequent reasons, and how near the nearest one came."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

_PREFIX = "infeasible: "
_BOUND = re.compile(r"(\w+) = (\S+) is (?:above|below) the (maximum|minimum) of (\S+)")
_REASONS = 3  # that are told


def reasons_of(statuses: Iterable[str]) -> str:
    """Return why candidates may not be trained, the most frequent reason first.

    Args:
        statuses: What is stored of each.
    """
    counts: Counter[str] = Counter()
    nearest: dict[str, float] = {}
    for status in statuses:
        match = _BOUND.fullmatch(status.removeprefix(_PREFIX))
        if match is None:
            counts[status.removeprefix(_PREFIX)] += 1
            continue
        name, value, side, bound = match.groups()
        is_most = side == "maximum"
        kind = f"{name} must be at {'most' if is_most else 'least'} {_number(bound)}"
        counts[kind] += 1
        nearest[kind] = (min if is_most else max)(float(value), nearest.get(kind, float(value)))
    texts = [
        f"{reason}{_nearest(reason, nearest)} ({n:,} of {counts.total():,})"
        for reason, n in counts.most_common(_REASONS)
    ]
    more = len(counts) - _REASONS
    return "; ".join([*texts, *([f"and {more} other reasons"] if more > 0 else [])])


def _nearest(reason: str, nearest: dict[str, float]) -> str:
    if reason not in nearest:
        return ""
    return f", the {'smallest' if 'at most' in reason else 'largest'} sampled has {_number(nearest[reason])}"


def _number(value: str | float) -> str:
    number = float(value)
    return f"{int(number):,}" if number.is_integer() and abs(number) < 1e15 else f"{number:g}"
