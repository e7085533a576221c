"""Processes of one study that divide its work among themselves, each item to the one that claims it first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..core.progress import Progress
from ..storage.claims import Claims


class SharedWork:
    """The part of this process in the work on a study.

    Args:
        claims: Which process works on what.
        study: Name of the study.
        progress: Where waiting is told, once.
        poll_seconds: Between looks at what the others have done.
    """

    def __init__(self, claims: Claims, study: str, progress: Progress, *, poll_seconds: float) -> None:
        self._claims, self._study, self._progress, self._poll_seconds = claims, study, progress, poll_seconds
        self._is_told = False

    @contextmanager
    def claimed(self, item: str) -> Iterator[bool]:
        """Claim an item for the ``with`` block, and say whether this process has it; it is given up afterwards.

        Yields:
            Whether it does: otherwise another process works on it.
        """
        is_ours = self._claims.take(self._study, item)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._claims.release(self._study, item)

    @contextmanager
    def alone(self, item: str, text: str) -> Iterator[None]:
        """Wait until no other process has the item, and keep it for the ``with`` block; ``text`` says what for."""
        while not self._claims.take(self._study, item):
            self.wait(text)
        try:
            yield
        finally:
            self._claims.release(self._study, item)

    def beat(self, item: str) -> None:
        """Show that this process still works on an item that it has."""
        self._claims.beat(self._study, item)

    def wait(self, text: str) -> None:
        """Wait a moment for other processes, saying once what for."""
        if not self._is_told:
            self._progress.message(text)
        self._is_told = True
        time.sleep(self._poll_seconds)
