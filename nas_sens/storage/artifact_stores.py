"""Optuna's artifact stores with what long searches need of them: whole writes, a prefix in a bucket, and patience."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from optuna.artifacts import Backoff, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from ..core.errors import first_line

T = TypeVar("T")


class ArtifactStore(Protocol):
    """What Optuna asks of an artifact store (its own protocol is in a private module)."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open an artifact."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep a file under an identifier."""

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact."""


class Refused(ArtifactNotFound):
    """A service said no, and will at the next try, too: a wrong bucket, no credentials, no permission.

    Of Optuna's class, since that is what its ``Backoff`` does not try again after.
    """


class Unreachable(OSError):
    """A service did not answer, or failed."""


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


class FolderStore(FileSystemArtifactStore):
    """Optuna's store in a folder, in which a file is whole or not there.

    Folders are made when something is first written into them. Identifiers may name a subfolder.

    Args:
        folder: Where files lie.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write a file in place of the earlier one, should there be one.

        Raises:
            OSError: It cannot be written; then nothing has changed.
        """
        path, part = self._folder / artifact_id, f"{artifact_id}.{os.getpid()}.part"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                super().write(part, content_body)
            except FileNotFoundError:  # another process removed the subfolder, which was empty, before it was used
                path.parent.mkdir(parents=True, exist_ok=True)
                super().write(part, content_body)
            (self._folder / part).replace(path)
        except OSError:
            _unlink(self._folder / part)
            raise

    def remove(self, artifact_id: str) -> None:
        """Remove a file, what a process that was killed had begun to write of it, and a subfolder that is empty then.

        Raises:
            ArtifactNotFound: There is no such file.
        """
        path = self._folder / artifact_id
        for part in path.parent.glob(f"{path.name}.*.part"):
            _unlink(part)
        try:
            super().remove(artifact_id)
        finally:
            if path.parent != self._folder:
                _remove_if_empty(path.parent)


class BucketStore:
    """A store of Optuna under a prefix of its bucket.

    Args:
        store: Optuna's store, whose identifiers are the names of objects in the bucket.
        prefix: What stands in front of identifiers, with a slash at its end; "" for nothing.
        where: How the place is called in messages.
        is_refusal: Whether an error will be the same at the next try.
    """

    def __init__(
        self, store: ArtifactStore, *, prefix: str, where: str, is_refusal: Callable[[Exception], bool]
    ) -> None:
        self._store, self._prefix, self._where, self._is_refusal = store, prefix, where, is_refusal

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return a whole artifact, in memory: a connection that breaks in its middle is found out here.

        Raises:
            ArtifactNotFound: There is none of that identifier.
        """

        def read() -> BinaryIO:
            with self._store.open_reader(self._prefix + artifact_id) as reader:
                return io.BytesIO(reader.read())

        return self._asked(read)

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keep a file under an identifier."""
        self._asked(lambda: self._store.write(self._prefix + artifact_id, content_body))

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact."""
        self._asked(lambda: self._store.remove(self._prefix + artifact_id))

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ArtifactNotFound as error:
            raise ArtifactNotFound(f"not in {self._where}") from error
        except Exception as error:  # of the service's library, which only its own module may import
            kind = Refused if self._is_refusal(error) else Unreachable
            raise kind(f"{self._where}: {first_line(error)}") from error


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


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # on a read-only disk


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others have files there
