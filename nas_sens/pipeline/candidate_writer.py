"""Scored candidates on their way into the database: many in one write, none kept for long."""

from __future__ import annotations

import time
from collections.abc import Mapping

from optuna.distributions import BaseDistribution

from ..core.candidates import ScoredCandidate
from ..storage.study_storage import StudyStorage
from .settings import Settings


class CandidateWriter:
    """A buffer of scored candidates.

    Args:
        storage: The database.
        name: Name of the study.
        settings: After how many candidates or seconds they are stored.
    """

    def __init__(self, storage: StudyStorage, name: str, settings: Settings) -> None:
        self._storage, self._name, self._settings = storage, name, settings
        self._buffer: list[tuple[ScoredCandidate, Mapping[str, BaseDistribution]]] = []
        self._flushed = time.monotonic()

    def add(self, candidate: ScoredCandidate, distributions: Mapping[str, BaseDistribution]) -> None:
        """Take a candidate with the distributions of its parameters."""
        self._buffer.append((candidate, distributions))

    def flush_if_due(self) -> None:
        """Store what there is if it is much or old."""
        is_old = time.monotonic() - self._flushed > self._settings.flush_seconds
        if len(self._buffer) >= self._settings.flush_count or (self._buffer and is_old):
            self.flush()

    def flush(self) -> None:
        """Store what there is."""
        if self._buffer:
            self._storage.add_scored(self._name, self._buffer)
        self._buffer.clear()
        self._flushed = time.monotonic()
