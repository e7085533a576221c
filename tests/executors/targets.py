"""What workers of tests do, each noting what it was told in a folder."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from nas_sens.core.errors import InvalidInputError


def note(folder: str, worker: str, text: str) -> int:
    """Note a line, and return how many this worker has noted."""
    with (Path(folder) / f"{worker}.txt").open("a") as file:
        file.write(text + "\n")
    return len((Path(folder) / f"{worker}.txt").read_text().splitlines())


def finish(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    note(folder, worker, f"{device} {n_threads} {os.environ.get('OMP_NUM_THREADS')}")
    return True


def ask_for_more(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    return note(folder, worker, str(os.getpid())) == 3


def refuse(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    note(folder, worker, "refused")
    raise InvalidInputError("the colour must be blue; given 'red'; paint it")


def die_twice(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    if note(folder, worker, "begun") < 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


def die(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    note(folder, worker, "begun")
    os.kill(os.getpid(), signal.SIGKILL)
    return True


def wait(*, worker: str, device: str, n_threads: int | None, folder: str) -> bool:
    note(folder, worker, "begun")
    try:
        while True:
            time.sleep(0.05)
    finally:
        note(folder, worker, "given back")
