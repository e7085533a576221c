"""The thread by which this process shows that it still works, however long an epoch or a block of scoring takes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Heartbeat:
    """A thread that beats until it is stopped; it is started by the first thing that needs it.

    Args:
        beat: Shows the database that this process works; what it raises is told to nobody, as the next beat may reach
            the database again. Whether it came too late is seen when something is stored.
        seconds: Between two beats.
    """

    def __init__(self, beat: Callable[[], None], *, seconds: float) -> None:
        self._beat, self._seconds = beat, seconds
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Beat from now on, unless it does already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="nas_sens heartbeat", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Beat no more, and wait for a beat that is under way."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_stopped.set()
            thread.join()
            self._is_stopped.clear()

    def _run(self) -> None:
        while not self._is_stopped.wait(self._seconds):
            try:
                self._beat()
            except Exception:  # whatever a driver raises when its server is away
                continue
