"""How long the scoring still takes: by the pace of those that were scored last."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHARE = 0.25  # of what is left at first: a candidate counts half as much as one that was scored so many later


class ScoringPace:
    """Seconds a candidate, those scored lately counting more: the first ones wait for caches, samplers become slower.

    Args:
        n_left: Number of candidates that are to be scored.
        now: Returns seconds of a clock.
    """

    def __init__(self, n_left: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._n_left, self._half = now, n_left, max(1.0, _SHARE * n_left)
        self._n, self._seconds = 0.0, 0.0  # scored, and in which time, both faded
        self._last = now()

    def count(self, n: int) -> None:
        """Note that ``n`` more were scored since the last time, by whomever."""
        fade, now = 0.5 ** (n / self._half), self._now()
        self._n = fade * self._n + n
        self._seconds = fade * self._seconds + now - self._last
        self._n_left, self._last = self._n_left - n, now

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes; None before one was scored."""
        return max(0, self._n_left) * self._seconds / self._n if self._n else None
