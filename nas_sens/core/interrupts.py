"""Ctrl-C that waits for the write in hand, that is not lost, and that ends the process at the second time."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_AGAIN_AFTER_SECONDS = 0.05
_SAME_SECONDS = 0.2  # a key pressed once reaches some processes twice, from the terminal and from who started them
INTERRUPTED = 130  # the exit code, as shells have it

_n_raised_again = 0  # interrupts that are no key pressed
_last_acts: list[Callable[[], object]] = []


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
        timer = threading.Timer(_AGAIN_AFTER_SECONDS, _interrupt_again)  # raised in here it would be dropped too
        timer.daemon = True
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = others


def _interrupt_again() -> None:
    global _n_raised_again
    _n_raised_again += 1
    _thread.interrupt_main()


@contextmanager
def second_ends_process() -> Iterator[None]:
    """End the process at once when Ctrl-C is pressed a second time inside the ``with`` block, whatever it does.

    Python acts on a signal between two steps of the main thread: never while that is in a library's code, or waits for
    a lock. What is told of signals at once is a file descriptor, and a thread that reads it. Nothing is tidied up then
    but what `last_act` was given; databases roll back what was half written. Elsewhere than in the main thread nothing
    is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(read,), name="nas_sens Ctrl-C", daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)  # ends the thread
        watch.join()
        os.close(read)


@contextmanager
def last_act(act: Callable[[], object]) -> Iterator[None]:
    """Have something done when a second Ctrl-C ends the process inside the ``with`` block, such as killing another."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


def _watch(read: int) -> None:
    global _n_raised_again
    first: float | None = None
    while data := os.read(read, 1):
        if data[0] != signal.SIGINT:
            continue
        if _n_raised_again:
            _n_raised_again -= 1
        elif first is None:
            first = time.monotonic()
        elif time.monotonic() - first > _SAME_SECONDS:
            end_process("interrupted twice: ended at once; what was in hand is done again by the next run")


def end_process(text: str) -> None:
    """Say something, do the last acts, and end the process without waiting for anything."""
    for act in list(_last_acts):
        with suppress(Exception):
            act()
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())
    os._exit(INTERRUPTED)
