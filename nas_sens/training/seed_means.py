"""Curves of several trainings as one: means over seeds, of few epochs and few digits."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST_POINTS = 200  # of a stored curve

Curve = tuple[float | None, ...]


def mean_curve(curves: Sequence[Sequence[float | None]]) -> tuple[Any, ...]:
    """Return the mean over trainings after each epoch, None where one has none.

    One that stopped early keeps its last value; one without values is left out.
    """
    there = [c for c in curves if c]
    length = max(map(len, there), default=0)
    padded = [[*c, *[c[-1]] * (length - len(c))] for c in there]
    return tuple(_exact_mean(values) for values in zip(*padded, strict=True))


def compact(curves: Mapping[str, Sequence[float | None]]) -> tuple[tuple[int, ...], dict[str, Curve]]:
    """Return at most ``MOST_POINTS`` evenly spaced epochs, from 1 to the last, and curves there, of six digits.

    Args:
        curves: Name to values after each epoch, all of one length.
    """
    n = max(map(len, curves.values()), default=0)
    n_points = min(n, MOST_POINTS)
    steps = max(1, n_points - 1)
    epochs = tuple(1 + round(i * (n - 1) / steps) for i in range(n_points))
    return epochs, {name: tuple(_short(values[e - 1]) for e in epochs) for name, values in curves.items()}


def mean_measures(
    epochs: Sequence[Sequence[int]], curves: Sequence[Mapping[str, Sequence[float | None]]]
) -> tuple[tuple[int, ...], dict[str, Curve]]:
    """Return all epochs at which something was measured, and the means over trainings of what was measured last.

    Args:
        epochs: For each training, the epochs after which it was measured, from 0 on.
        curves: For each training, name to values there; None where there is none, which then has no mean.
    """
    union = sorted({e for one in epochs for e in one})
    means: dict[str, Curve] = {}
    for name in curves[0] if curves else ():
        columns = [
            [values[name][max(0, bisect.bisect_right(at, e) - 1)] for e in union]
            for at, values in zip(epochs, curves, strict=True)
        ]
        means[name] = tuple(_mean(values) for values in zip(*columns, strict=True))
    return tuple(union), means


def _exact_mean(values: Sequence[Any]) -> Any:
    return None if any(v is None for v in values) else math.fsum(values) / len(values)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return _short(math.fsum(known) / len(known)) if len(known) == len(values) else None


def _short(value: Any) -> Any:
    return None if value is None else float(f"{value:.6g}")
