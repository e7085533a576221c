"""Waiting for other processes, and saying so once."""

from __future__ import annotations

import time

from ..core.progress import Progress

_LONGEST = 8  # moments


class Waiting:
    """The moments in which this process waits for others.

    Args:
        progress: Where it is told, each text once.
        poll_seconds: How long a moment is.
    """

    def __init__(self, progress: Progress, *, poll_seconds: float) -> None:
        self._progress, self._poll_seconds = progress, poll_seconds
        self._told: set[str] = set()
        self._n = 0  # moments in a row

    def tell(self, text: str) -> None:
        """Say what is waited for, unless that was said before."""
        if text not in self._told:
            self._progress.message(text)
        self._told.add(text)

    def wait(self, text: str) -> None:
        """Wait a moment, longer each time in a row, as many who wait ask the database; ``text`` says what for."""
        self.tell(text)
        self._n += 1
        time.sleep(self._poll_seconds * min(_LONGEST, 1 + self._n // 4))

    def is_over(self) -> None:
        """Note that there was something to do."""
        self._n = 0
