"""Ctrl-C takes effect wherever it falls."""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest

from nas_sens.core.interrupts import raise_again


class Finalizer:
    """Raises when it is thrown away, as a Ctrl-C does that falls into a finalizer."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    yield
    signal.signal(signal.SIGINT, before)


def test_a_dropped_interrupt_is_raised_again() -> None:
    hook, steps = sys.unraisablehook, []

    def work() -> None:
        Finalizer(KeyboardInterrupt)
        while len(steps) < 1000:
            time.sleep(0.005)
            steps.append(len(steps))

    with pytest.raises(KeyboardInterrupt), raise_again():
        work()
    assert steps, "it was not dropped at first"
    assert sys.unraisablehook is hook


def test_other_dropped_errors_are_told_as_ever() -> None:
    told = []
    before, sys.unraisablehook = sys.unraisablehook, lambda dropped: told.append(dropped.exc_type)
    try:
        with raise_again():
            Finalizer(ValueError)
            time.sleep(0.1)
    finally:
        sys.unraisablehook = before
    assert told == [ValueError]
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer)]
