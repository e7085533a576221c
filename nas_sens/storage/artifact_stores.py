"""What an artifact store is, how one of a service fails, and Optuna's store in a folder with whole writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from ..core.whole_file import remove_begun, whole_file


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
        """Write a file in place of the earlier one, should there be one."""
        self.save(artifact_id, lambda file: shutil.copyfileobj(content_body, file))

    def save(self, artifact_id: str, write_into: Callable[[BinaryIO], object]) -> None:
        """Write a file that is not yet one: without a copy of it in memory.

        Args:
            artifact_id: Its identifier.
            write_into: Writes into the open file that it is given. If it raises, nothing has changed.
        """
        with whole_file(self._folder / artifact_id, is_synced=True) as file:
            write_into(file)

    def remove(self, artifact_id: str) -> None:
        """Remove a file, what a process that was killed had begun to write of it, and a subfolder that is empty then.

        Raises:
            ArtifactNotFound: There is no such file.
        """
        path = self._folder / artifact_id
        remove_begun(path)
        try:
            super().remove(artifact_id)
        finally:
            if path.parent != self._folder:
                _remove_if_empty(path.parent)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # others have files there
