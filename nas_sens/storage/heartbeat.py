"""The thread by which this process shows that it still works, however long an epoch or a block of scoring takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress


class Heartbeat:
    """A thread that beats as long as there is something to beat for; it is started by what needs it.

    Args:
        beat: Shows the database that this process works; what it raises is told to nobody, as the next beat may reach
            the database again. Whether it came too late is seen when something is stored.
        is_needed: Whether there is something to beat for; the thread ends when there is not.
        seconds: Between two beats.
    """

    def __init__(self, beat: Callable[[], None], *, is_needed: Callable[[], bool], seconds: float) -> None:
        self._beat, self._is_needed, self._seconds = beat, is_needed, seconds
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat from now on, unless it does already."""
        with self._lock:
            if self._thread is None and self._is_needed():
                self._thread = threading.Thread(target=self._run, name="nas_sens heartbeat", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._seconds)
            with self._lock:
                if not self._is_needed():
                    self._thread = None
                    return
            with suppress(Exception):  # whatever a driver raises when its server is away
                self._beat()
