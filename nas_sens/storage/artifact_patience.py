"""Patience with a service that does not answer: Optuna's ``Backoff``, and what is missing in it."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass

from optuna.artifacts import Backoff

from .artifact_stores import ArtifactStore, Unreachable


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a service is tried again that does not answer: by default about three minutes.

    Attributes:
        max_retries: Number of tries.
        multiplier: Of the time between two tries, each time.
        min_delay: Seconds between the first two.
        max_delay: Seconds between two at most.
    """

    max_retries: int = 12
    multiplier: float = 2.0
    min_delay: float = 0.5
    max_delay: float = 30.0


PATIENCE = Patience()


class PatientStore(Backoff):
    """A store that is asked again for a while when it does not answer.

    Args:
        store: A store that raises :class:`Refused` where asking again is of no use.
        patience: For how long.
    """

    def __init__(self, store: ArtifactStore, patience: Patience = PATIENCE) -> None:
        super().__init__(store, **asdict(patience))
        self._store, self._patience = store, patience

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact. Optuna's own method goes on removing, and waiting, after it has succeeded.

        Raises:
            Unreachable: The store did not answer for as long as it was tried.
        """
        delay = self._patience.min_delay
        for left in reversed(range(self._patience.max_retries)):
            try:
                return self._store.remove(artifact_id)
            except Unreachable:
                if not left:
                    raise
            time.sleep(delay)
            delay = min(delay * self._patience.multiplier, self._patience.max_delay)


class _OneLine(logging.Filter):
    """Says in one line what Optuna's ``Backoff`` shows a traceback of, at every try."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Unreachable):  # else it is another's store
            record.msg, record.args, record.exc_info = f"{error}; trying again", (), None
        return True


logging.getLogger(Backoff.__module__).addFilter(_OneLine())
