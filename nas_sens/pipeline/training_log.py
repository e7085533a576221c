"""Log of a training job: what happened when, in lines of text that are kept with the trained network."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version

import torch

from ..training import Outcome

FILENAME = "training.log"
AT_MOST_EPOCHS = 200  # lines of one job; of longer ones every second, third, … epoch


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


class TrainingLog:
    """Collects the lines of one job.

    Args:
        n_trainings: How many trainings, one a seed, share the lines for epochs.
        now: Returns the time, as it stands in front of a line.
    """

    def __init__(self, n_trainings: int, *, now: Callable[[], str] = _now) -> None:
        self._lines: list[str] = []
        self._times: list[str] = []
        self._n_epoch_lines = max(2, AT_MOST_EPOCHS // n_trainings)
        self._now = now
        who = f"process {os.getpid()} on {platform.node()}, {torch.get_num_threads()} threads"
        self.say(f"nas_sens {version('nas-sens')}, PyTorch {torch.__version__}, {who}; times are UTC")

    def say(self, text: str) -> None:
        """Note one line; line breaks in it become spaces."""
        self._lines.append(f"{self._now()} {' '.join(text.split())}")

    def begin(self, what: str) -> None:
        """Note that a training begins."""
        self._times = []
        self.say(f"{what}: begins")

    def note_time(self) -> None:
        """Note the time at which an epoch ended."""
        self._times.append(self._now())

    def add(self, text: str) -> None:
        """Add lines as they are, such as a traceback."""
        self._lines += text.splitlines()

    def end(self, what: str, outcome: Outcome) -> None:
        """Note the epochs of a training and what it came to."""
        n = len(outcome.curve)
        curves = {outcome.curve_of: outcome.curve, **outcome.curves}
        n_earlier = n - len(self._times)
        if n_earlier > 0:
            self.say(f"{what}: went on from a checkpoint after epoch {n_earlier}")
        step = -(-n // self._n_epoch_lines) if n else 1
        for epoch in range(1, n + 1):
            if epoch % step == 0 or epoch in (1, n):
                at = {name: values[epoch - 1] for name, values in curves.items() if epoch <= len(values)}
                figures = ", ".join(f"{name} {value:.6g}" for name, value in at.items() if value is not None)
                time = self._times[epoch - 1 - n_earlier] if epoch > n_earlier else "(before this process)"
                self._lines.append(f"{time} {what}, epoch {epoch}: {figures}")
        self.say(f"{what}: {outcome.status}, {n} epochs, {outcome.seconds:.3f} s")

    def text(self) -> str:
        """Return all lines."""
        return "\n".join(self._lines) + "\n"
