"""Pictures as they are stored, read one at a time: ordinary files here; archives and tables elsewhere do the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..core.errors import InvalidInputError


class Encoded(Protocol):
    """Pictures in JPEG, PNG and so on, by their numbers from 0.

    Attributes:
        source: The data set's name, for messages.
        place: Where they lie, by which what is known of them is found again; "" where that is not kept.
    """

    source: str
    place: str

    def __len__(self) -> int:
        """Return how many there are."""

    def name(self, i: int) -> str:
        """Return what a picture is called in messages."""

    def read(self, i: int) -> bytes:
        """Return a picture's file as it is; an InvalidInputError if it cannot be read."""

    def stamp(self, i: int) -> bytes:
        """Return 16 bytes that are others once a picture's place, size or time of change is; b"" if nobody knows."""


class Files:
    """Pictures that are files below one folder.

    Args:
        root: The folder.
        paths: Their paths from there.
        source: The data set's name, for messages.
    """

    def __init__(self, root: str, paths: Sequence[str], *, source: str) -> None:
        self.source, self.place = source, os.path.realpath(root)
        self._root = os.fsencode(root)
        # One block of memory for all names: an object each would take several times as much.
        self._paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._paths)

    def name(self, i: int) -> str:
        """Return a picture's path from the folder."""
        return os.fsdecode(self._paths[i])

    def path(self, i: int) -> str:
        """Return a picture's path."""
        return os.path.join(os.fsdecode(self._root), self.name(i))

    def read(self, i: int) -> bytes:
        """Return a picture's file.

        Raises:
            InvalidInputError: It cannot be read.
        """
        try:
            file = os.open(os.path.join(self._root, self._paths[i]), os.O_RDONLY)
            with os.fdopen(file, "rb", buffering=0) as opened:
                return opened.readall()
        except OSError as error:
            raise InvalidInputError(
                f"{self.source}: {self.name(i)} cannot be read as an image ({error.strerror}); repair or remove it"
            ) from error

    def stamp(self, i: int) -> bytes:
        """Return a digest of path, size, time of change and number in the file system."""
        try:
            found = os.stat(os.path.join(self._root, self._paths[i]))
        except OSError:  # reading it says why
            return b""
        text = f"{found.st_size} {found.st_mtime_ns} {found.st_ino} ".encode() + bytes(self._paths[i])
        return hashlib.blake2b(text, digest_size=16).digest()


def digest_of(content: bytes) -> bytes:
    """Return the 16 bytes by which the content of a file is known."""
    return hashlib.blake2b(content, digest_size=16).digest()
