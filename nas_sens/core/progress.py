"""Progress of long work: the interface that the pipeline reports to, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TextIO

from .messages import one_line


@dataclass(frozen=True, kw_only=True)
class Live:
    """What goes on in a stage, for those who watch.

    Attributes:
        best: The best so far, in words; "" before there is one.
        running: What runs, in words.
        step: How far that is, in words.
        curve: Values of its figure so far, one an epoch.
        seconds_left: How long the stage will take from now on; None where that cannot be told yet.
    """

    best: str = ""
    running: str = ""
    step: str = ""
    curve: tuple[float, ...] = ()
    seconds_left: float | None = None


class Stage(Protocol):
    """One stage of the work, open while it runs."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count ``n`` more steps as done and show a short note."""

    def show(self, live: Live) -> None:
        """Show what goes on."""


class Progress(Protocol):
    """Where the pipeline reports to."""

    def message(self, text: str) -> None:
        """Show one line."""

    def detail(self, text: str) -> None:
        """Show one line to those who asked for details."""

    def stage(self, name: str, total: int) -> AbstractContextManager[Stage]:
        """Open a stage of ``total`` steps."""


class SilentProgress:
    """Progress that shows nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def detail(self, text: str) -> None:
        """Show nothing."""

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage that shows nothing.

        Yields:
            This object, which is its own stage.
        """
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:
        """Show nothing."""

    def show(self, live: Live) -> None:
        """Show nothing."""


class TextProgress:
    """Progress as lines with the time of day, for a log.

    Args:
        file: Where they are written.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def message(self, text: str) -> None:
        """Write one line."""
        self._file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {one_line(text)}\n")
        self._file.flush()

    def detail(self, text: str) -> None:
        """Write one line."""
        self.message(text)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage whose beginning and end are written.

        Yields:
            A stage that shows nothing.
        """
        self.message(f"{name}: {total} to do")
        yield SilentProgress()
        self.message(f"{name}: over")
