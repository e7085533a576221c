"""Workers as processes of this machine, each with a device of its own for its life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack

from ..core.interrupts import INTERRUPTED, last_act
from .base import Ended, EngineOptions, Executor, Task
from .worker_process import MORE, REFUSED, STOP_SECONDS, to_line


class LocalWorker:
    """A worker's process.

    Args:
        task: What it does.

    Attributes:
        process: The process.
    """

    def __init__(self, task: Task) -> None:
        self._log = task.log
        task.log.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if task.n_threads is not None:
            environment["OMP_NUM_THREADS"] = str(task.n_threads)
        with task.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nas_sens.executors.worker_process"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                text=True,
                start_new_session=True,  # a Ctrl-C is this process's, which passes it on
            )
        self._stack = ExitStack()
        self._stack.enter_context(last_act(self.process.kill))
        assert self.process.stdin is not None
        self.process.stdin.write(to_line(task))
        self.process.stdin.flush()

    def poll(self) -> Ended | None:
        """Return how the process ended; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        self._stack.close()
        if code in (0, MORE, INTERRUPTED):
            return Ended(how="done" if code == 0 else "more")
        if code < 0:  # it had no time to say why
            return Ended(how="lost", text=f"it ended with {signal.Signals(-code).name}")
        text = _last_line(self._log) or f"it ended with exit code {code}"
        return Ended(how="refused" if code == REFUSED else "lost", text=text)

    def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """Close its stdin, by which it ends; kill it if it does not in time."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(patience_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._stack.close()


class Local:
    """An engine of processes on this machine."""

    def start(self, task: Task) -> LocalWorker:
        """Return a worker whose process was started."""
        return LocalWorker(task)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _open(options: EngineOptions) -> Local:
    return Local()


def _last_line(log: os.PathLike[str]) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1].removeprefix("nas-sens: error: ") if lines else ""


EXECUTOR = Executor(name="local", open=_open, is_here=True, description="processes of this machine, a device each")
