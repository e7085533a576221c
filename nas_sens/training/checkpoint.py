"""Checkpoint of a training in one file: written whole or not at all, read only if it belongs to the same training."""

from __future__ import annotations

import os
import pickle
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import first_line


class Checkpoint:
    """The file that a training goes on from.

    It is PyTorch's, of tensors and plain values; reading it runs no code that it may hold (``weights_only``). A
    training is worth more than its checkpoint: where that cannot be written, ``problem`` says why, and it goes on.

    Args:
        path: Where it lies; folders are made when it is written.
        seconds: Time between two states that are written.
        keeps_end: Whether the state at the end of the training is written too.

    Attributes:
        problem: Why the file could not be written; "" if it could.
    """

    def __init__(self, path: Path, *, seconds: float = 30.0, keeps_end: bool = False) -> None:
        self.path, self.keeps_end = path, keeps_end
        self.problem = ""
        self._seconds = seconds
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
        self._written = time.monotonic()
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"identity": identity, "state": dict(state)}, part)
            part.replace(self.path)
        except (OSError, RuntimeError) as error:  # PyTorch raises the latter on a full disk
            self.problem = first_line(error)
            _remove(part)

    def read(self, *, identity: str) -> dict[str, Any] | None:
        """Return the state written last, on the CPU; None if there is none of ``identity`` that can be read."""
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile):
            return None
        if not isinstance(content, dict) or content.get("identity") != identity:
            return None
        return content["state"]

    def remove(self) -> None:
        """Remove the file, what a process that was killed had begun to write, and the folder if it is empty then."""
        _remove(self.path)
        for part in self.path.parent.glob(f"{self.path.name}.*.part"):
            _remove(part)
        try:
            self.path.parent.rmdir()
        except OSError:
            return  # other trainings have checkpoints there


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # on a read-only disk
