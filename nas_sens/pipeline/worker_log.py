"""The log of a worker, kept among the artifacts of its study."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import NasSensError
from ..core.progress import Progress, Stage, TextProgress
from ..core.secrets import redact
from .session import Session


class Logged:
    """Progress that is shown elsewhere, too, and remembered as lines.

    Args:
        shown: Where it is shown.
    """

    def __init__(self, shown: Progress) -> None:
        self._shown, self._lines = shown, io.StringIO()
        self._log = TextProgress(self._lines)

    def message(self, text: str) -> None:
        """Show and remember one line."""
        self._shown.message(text)
        self._log.message(text)

    def detail(self, text: str) -> None:
        """Show one line to those who asked for details, and remember it."""
        self._shown.detail(text)
        self._log.message(text)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Stage]:
        """Open a stage.

        Yields:
            The stage as it is shown.
        """
        self._log.message(f"{name}: {total} to do")
        with self._shown.stage(name, total) as stage:
            yield stage

    def text(self) -> str:
        """Return what is remembered."""
        return self._lines.getvalue()


def keep_log(session: Session, log: Logged) -> None:
    """Keep a worker's log among the artifacts of its study; a failure is only told, as the work is worth more."""
    keep_text(session, session.storage.worker, log.text())


def keep_text(session: Session, worker: str, text: str) -> None:
    """Keep a text as the log of a worker."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"worker-{re.sub(r'[^A-Za-z0-9.-]+', '-', worker)}.log"
        path.write_text(redact(text, session.storage.url), encoding="utf-8")
        try:
            session.storage.attach(session.spec.name, {path.name: path})
        except NasSensError as error:
            session.progress.message(f"the log of worker {worker} could not be kept: {error}")
