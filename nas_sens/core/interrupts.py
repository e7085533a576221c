"""Ctrl-C that waits for the write in hand, and that is not lost."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_AFTER_SECONDS = 0.05


@contextmanager
def finish_first() -> Iterator[None]:
    """Let a Ctrl-C inside the ``with`` block take effect at its end; a second one takes effect at once.

    Signals are the main thread's: elsewhere, and where SIGINT is not handled by Python's KeyboardInterrupt, nothing is
    changed.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed inside the block, which raised nothing itself; raised at its end.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    is_interrupted = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_interrupted:
        raise KeyboardInterrupt


@contextmanager
def raise_again() -> Iterator[None]:
    """Raise a Ctrl-C again that Python has dropped, until it takes effect.

    What is raised in a finalizer or a weakref callback is printed and forgotten, a KeyboardInterrupt as well; importing
    PyTorch's compiler, which happens before the first step of a training, runs thousands of these.
    """
    others = sys.unraisablehook

    def hook(dropped: UnraisableHookArgs, /) -> None:
        if dropped.exc_type is not KeyboardInterrupt:
            others(dropped)
            return
        timer = threading.Timer(_AGAIN_AFTER_SECONDS, _thread.interrupt_main)  # raised in here it would be dropped too
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = others
