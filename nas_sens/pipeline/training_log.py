"""Log of a training job: what happened when, in lines of text that are kept with the trained network."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
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

    def after(self, on_epoch: Callable[[Sequence[float]], None]) -> Callable[[Sequence[float]], None]:
        """Return what is to be called after every epoch: the time is noted, then ``on_epoch`` is called."""

        def noted(curve: Sequence[float]) -> None:
            self._times.append(self._now())
            on_epoch(curve)

        return noted

    def end(self, what: str, outcome: Outcome) -> None:
        """Note the epochs of a training and what it came to."""
        n = len(outcome.curve)
        curves = {"val_loss": outcome.curve, **outcome.curves}
        n_earlier = n - len(self._times)
        if n_earlier > 0:
            self.say(f"{what}: went on from a checkpoint after epoch {n_earlier}")
        step = -(-n // self._n_epoch_lines) if n else 1
        for epoch in range(1, n + 1):
            if epoch % step == 0 or epoch in (1, n):
                figures = ", ".join(f"{k} {v[epoch - 1]:.6g}" for k, v in curves.items() if epoch <= len(v))
                time = self._times[epoch - 1 - n_earlier] if epoch > n_earlier else "(before this process)"
                self._lines.append(f"{time} {what}, epoch {epoch}: {figures}")
        self.say(f"{what}: {outcome.status}, {n} epochs, {outcome.seconds:.3f} s")

    def text(self) -> str:
        """Return all lines."""
        return "\n".join(self._lines) + "\n"
