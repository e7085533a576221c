"""Where the numbers of inputs come from, row by row: memory, pictures in files, a data set of the user's."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from .loading import Loader, ahead


class Source(Protocol):
    """Raw inputs of one part of the data, uint8 where they are pictures.

    Attributes:
        shape: Of one input.
        dtype: Of the numbers.
        is_streamed: Whether they stay where they are until they are used.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    is_streamed: bool

    def __len__(self) -> int:
        """Return how many inputs there are."""

    def part(self, rows: np.ndarray) -> Source:
        """Return some of the inputs as a part of its own."""

    def to(self, device: torch.device) -> Source:
        """Return the inputs as near to a device as they may lie."""

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """Return some inputs, of which only these are read."""

    def batches(self, rows: Sequence[torch.Tensor], *, is_pinned: bool) -> Iterator[torch.Tensor]:
        """Return an iterator over batches, which may be read ahead."""

    def counts(self) -> torch.Tensor | None:
        """Return how often each value from 0 to 255 occurs in each channel, int64 (channels, 256); None of floats."""

    def digests(self) -> np.ndarray | None:
        """Return which inputs they are by content, uint8 (n, 16); None where their numbers say it."""


class InMemory:
    """Inputs in memory, on any device.

    Args:
        pixels: uint8 (n, channels, height, width).
    """

    is_streamed = False

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels, self.dtype = pixels, pixels.dtype
        self.shape = tuple(pixels.shape[1:])

    def __len__(self) -> int:
        """Return how many inputs there are."""
        return len(self.pixels)

    def part(self, rows: np.ndarray) -> InMemory:
        """Return a copy of some of the inputs."""
        return InMemory(self.pixels[torch.from_numpy(rows).to(self.pixels.device)])

    def to(self, device: torch.device) -> InMemory:
        """Return the inputs on a device."""
        return InMemory(self.pixels.to(device))

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """Return some inputs."""
        return self.pixels.index_select(0, rows.to(self.pixels.device))

    def batches(self, rows: Sequence[torch.Tensor], *, is_pinned: bool) -> Iterator[torch.Tensor]:
        """Return an iterator over batches."""
        return map(self.take, rows)

    def counts(self) -> torch.Tensor:
        """Return how often each value occurs in each channel."""
        return sum((counts_in(part) for part in self.pixels.split(_rows_at_once(self.shape))), start=_none(self.shape))

    def digests(self) -> None:
        """Return nothing: the numbers say which inputs they are."""


class Streamed:
    """What reads inputs when they are used; its heirs say how, by `read`.

    Args:
        shape: Of one input.
        dtype: Of the numbers.
        workers: How many processes read them.
    """

    is_streamed = True

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, *, workers: int) -> None:
        self.shape, self.dtype, self.workers = shape, dtype, workers
        self._loader: Loader | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs."""
        return {**self.__dict__, "_loader": None}

    def read(self, rows: np.ndarray) -> torch.Tensor:
        """Return some inputs.

        Raises:
            NotImplementedError: Heirs do.
        """
        raise NotImplementedError

    def to(self, device: torch.device) -> Any:
        """Return the inputs, which stay where they are."""
        return self

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        """Return some inputs."""
        return self.read(rows.cpu().numpy())

    def batches(self, rows: Sequence[torch.Tensor], *, is_pinned: bool) -> Iterator[torch.Tensor]:
        """Return an iterator over batches, read ahead by processes, or by a thread where there are none.

        Raises:
            InvalidInputError: An input cannot be read.
            NasSensError: A process ended.
        """
        return self._ahead(rows, workers=self.workers, is_pinned=is_pinned)

    def _ahead(self, rows: Sequence[torch.Tensor], *, workers: int, is_pinned: bool) -> Iterator[torch.Tensor]:
        wanted = [batch.numpy() for batch in rows]
        if workers == 0:
            return ahead(lambda batch: _pinned(self.read(batch), is_pinned), wanted)
        if self._loader is None:
            # Of a copy, and held by the finalizer: processes of a loader that is found in a circle of garbage are not
            # told to end, and the garbage collector waits seconds for each of them.
            self._loader = Loader(copy.copy(self).read, workers=workers, is_pinned=is_pinned)
            weakref.finalize(self, _let_go, self._loader)
        return self._loader.batches(wanted)

    def counts(self) -> torch.Tensor | None:
        """Return how often each value occurs in each channel, in one pass."""
        if self.dtype != torch.uint8:
            return None
        rows = torch.arange(len(self)).split(_rows_at_once(self.shape))  # type: ignore[arg-type]
        return sum((counts_in(part) for part in self.batches(rows, is_pinned=False)), start=_none(self.shape))


def _let_go(loader: Loader) -> None:
    """Do nothing: it is the last reference that is dropped after this."""


def counts_in(pixels: torch.Tensor) -> torch.Tensor:
    """Return how often each value occurs in each channel of uint8 (n, channels, …): int64 (channels, 256)."""
    return torch.stack([torch.bincount(channel.reshape(-1), minlength=256) for channel in pixels.unbind(1)]).cpu()


def _none(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros((shape[0], 256), dtype=torch.int64)


def _rows_at_once(shape: tuple[int, ...]) -> int:
    return max(1, 2**22 // int(np.prod(shape)))


def _pinned(x: torch.Tensor, is_pinned: bool) -> torch.Tensor:
    return x.pin_memory() if is_pinned else x
