"""A torch data set of the user's own whose samples are asked for when they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..core.errors import InvalidInputError
from ..core.user_code import error_text
from .pictures import Pictures
from .pixel_sources import Streamed

_LOOKED_AT = 256  # samples by which a data set is known again: to read all would take as long as an epoch
_LABELS = ("targets", "labels")  # as torchvision's data sets call them


class DatasetStream(Streamed):
    """Some of a data set's samples.

    Args:
        dataset: Returns pairs (input, label) by number.
        rows: Which of them (n,).
        example: One input.
        name: The data set's name, for messages.
        mark: What it is known by.
        workers: How many processes ask for samples.
    """

    def __init__(
        self, dataset: Any, rows: np.ndarray, example: torch.Tensor, *, name: str, mark: bytes, workers: int
    ) -> None:
        super().__init__(tuple(example.shape), example.dtype, workers=workers)
        self._dataset, self._rows, self._example, self._name, self._mark = dataset, rows, example, name, mark

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self._rows)

    def part(self, rows: np.ndarray) -> DatasetStream:
        """Return some of the samples as a part of its own."""
        return DatasetStream(
            self._dataset, self._rows[rows], self._example, name=self._name, mark=self._mark, workers=self.workers
        )

    def digests(self) -> np.ndarray:
        """Return a mark of each sample, uint8 (n, 16), of what the data set is known by and its number."""
        marks = [
            hashlib.blake2b(self._mark + str(row).encode(), digest_size=16).digest() for row in self._rows.tolist()
        ]
        return np.frombuffer(b"".join(marks), dtype=np.uint8).reshape(-1, 16)

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Return some inputs.

        Raises:
            InvalidInputError: The data set fails, or an input is of another shape than the first.
        """
        return torch.stack([self._input(int(row)) for row in self._rows[rows]])

    def _input(self, row: int) -> torch.Tensor:
        x = input_of(self._dataset, row, self._name)
        if x.shape != self._example.shape or x.dtype != self._example.dtype:
            raise InvalidInputError(
                f"{self._name}: inputs must have one shape and type; number {row} has {tuple(x.shape)} of {x.dtype}, "
                f"the first {tuple(self._example.shape)} of {self._example.dtype}"
            )
        return x


def input_of(dataset: Any, row: int, name: str) -> torch.Tensor:
    """Return an input, uint8 as it is and other numbers as float32.

    Raises:
        InvalidInputError: The data set fails, or gives something else.
    """
    try:
        given = dataset[row][0]
        x = given if isinstance(given, torch.Tensor) else torch.as_tensor(np.asarray(given))
    except Exception as error:  # whatever a foreign data set raises
        raise InvalidInputError(f"{name}: sample {row} cannot be had; {error_text(error)}") from error
    return x.detach().cpu() if x.dtype == torch.uint8 else x.detach().cpu().float()


def can_stream(dataset: Any) -> bool:
    """Return whether an input is one tensor, or an array, of two axes at least, and no whole numbers such as tokens."""
    given = dataset[0][0]
    if isinstance(given, (tuple, list, Mapping)):
        return False
    x = torch.as_tensor(np.asarray(given)) if not isinstance(given, torch.Tensor) else given
    return x.ndim > 1 and (x.is_floating_point() or x.dtype == torch.uint8)


def streamed(dataset: Any, name: str, *, workers: int) -> tuple[Pictures, torch.Tensor, np.ndarray]:
    """Return inputs that are asked for when they are used, all labels, and marks of the samples.

    Labels are the data set's ``targets`` or ``labels`` where it has one for each sample; else every sample is asked for
    once, for its label alone. It is known by its length, its labels and 256 samples.

    Raises:
        InvalidInputError: It fails, or gives another input when it is asked again.
    """
    n = len(dataset)
    example = input_of(dataset, 0, name)
    if not torch.equal(example, input_of(dataset, 0, name)):
        raise InvalidInputError(
            f"{name}: must give the same input whenever a sample is asked for; leave random changes to augmentation or "
            "transforms in [train]"
        )
    known = next((v for v in (getattr(dataset, key, None) for key in _LABELS) if v is not None and len(v) == n), None)
    try:
        labels = [dataset[i][1] for i in range(n)] if known is None else known
        y = labels if isinstance(labels, torch.Tensor) else torch.as_tensor(np.asarray(labels))
    except Exception as error:  # whatever a foreign data set raises
        raise InvalidInputError(f"{name}: labels cannot be had; {error_text(error)}") from error
    mark = hashlib.blake2b(f"{n}".encode() + y.cpu().numpy().tobytes())
    for row in np.unique(np.linspace(0, n - 1, _LOOKED_AT).astype(int)):
        mark.update(input_of(dataset, int(row), name).numpy().tobytes())
    stream = DatasetStream(dataset, np.arange(n), example, name=name, mark=mark.digest(), workers=workers)
    return Pictures(stream, scale=1.0), y, stream.digests()
