"""Workers in this process, one after the other: what a worker on another machine is there."""

from __future__ import annotations

from .base import Ended, EngineOptions, Executor, Task


class _Finished:
    def __init__(self, ended: Ended) -> None:
        self._ended = ended

    def poll(self) -> Ended:
        return self._ended

    def stop(self) -> None:
        """Do nothing: it has ended."""


class InProcess:
    """An engine whose workers have ended when they are started. What they raise is raised."""

    def start(self, task: Task) -> _Finished:
        """Return a worker that has done its task."""
        return _Finished(Ended(how="done" if task.run() else "more"))

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _open(options: EngineOptions) -> InProcess:
    return InProcess()


EXECUTOR = Executor(name="in_process", open=_open, is_here=True, description="in this process, one after the other")
