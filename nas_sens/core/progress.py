"""Progress of long work: the interface that the pipeline reports to, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One stage of the work, open while it runs."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count ``n`` more steps as done and show a short note."""


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
