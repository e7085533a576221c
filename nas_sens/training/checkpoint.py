"""Checkpoint of a training: written whole or not at all, read only if it belongs to the same training."""

from __future__ import annotations

import pickle
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Protocol

import torch

from ..core.errors import StorageError, first_line


class Files(Protocol):
    """Where checkpoints lie: files by name, each of which is whole."""

    def put(self, name: str, write_into: Callable[[BinaryIO], object]) -> None:
        """Keep what is written in place of the earlier file, at once or not at all; a StorageError if that fails."""

    def get(self, name: str) -> BinaryIO | None:
        """Open a file; None if there is none."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and can be."""


class Checkpoint:
    """The file that a training goes on from.

    It is PyTorch's, of tensors and plain values; reading it runs no code that it may hold (``weights_only``). A
    training is worth more than its checkpoint: where that cannot be written, ``problem`` says why, and it goes on.

    Args:
        files: Where it lies.
        name: Its name there.
        seconds: Time between two states that are written.
        keeps_end: Whether the state at the end of the training is written too.

    Attributes:
        problem: Why the file could not be written; "" if it could.
    """

    def __init__(self, files: Files, name: str, *, seconds: float = 30.0, keeps_end: bool = False) -> None:
        self.name, self.keeps_end = name, keeps_end
        self.problem = ""
        self._files, self._seconds = files, seconds
        self._written = time.monotonic()

    def is_due(self, *, is_over: bool) -> bool:
        """Return whether the present state is to be written."""
        return self.keeps_end if is_over else time.monotonic() - self._written >= self._seconds

    def write(self, state: Mapping[str, Any], *, identity: str) -> None:
        """Write a state in place of the earlier one.

        Args:
            state: Tensors, numbers, texts, and lists and dicts of these.
            identity: Says which training it is of.
        """
        content = {"identity": identity, "state": dict(state)}
        try:
            self._files.put(self.name, lambda file: torch.save(content, file))
        except (StorageError, OSError, RuntimeError) as error:
            cause = error.__context__  # of PyTorch's RuntimeError, which only says that its file ends too early
            self.problem = first_line(cause if isinstance(cause, OSError) else error)
        self._written = time.monotonic()  # a slow store does not take the time of the training

    def read(self, *, identity: str) -> dict[str, Any] | None:
        """Return the state written last, on the CPU; None if there is none of ``identity`` that can be read.

        Raises:
            StorageError: The store does not answer, so that nobody knows whether there is one.
        """
        if (file := self._files.get(self.name)) is None:
            return None
        try:
            with file:
                content = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            return None
        if not isinstance(content, dict) or content.get("identity") != identity:
            return None
        return content["state"]

    def remove(self) -> None:
        """Remove the file."""
        self._files.remove(self.name)
