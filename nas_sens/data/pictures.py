"""Pictures that become floating-point numbers on the device, batch by batch: where a tensor of all would be too large.

They are used as a tensor (n, channels, height, width) of float32 is, as far as it makes sense: by ``len``, ``shape``,
rows (``x[rows]``), ``split`` and ``to``. What is asked for is a tensor; the whole is never one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..core.device import in_double, where_doubles_are
from .per_input import PER_INPUT
from .pixel_sources import InMemory, Source

FLOATS_AT_ONCE = 2**24  # numbers of a set that is kept as float32, 64 MiB: it is as fast as can be
_CPU = torch.device("cpu")
_ROWS = 256  # of a pass that only adds up
_FLOATS_ON_DEVICE = 2**28  # the same on an accelerator, 1 GiB, to which all were moved ever since


@dataclass(frozen=True, eq=False)
class Pictures:
    """Inputs (n, *shape) that are raw in their source, and float32 when they are used.

    Attributes:
        source: Where they come from.
        scale: What raw numbers are divided by, 255 for pictures in [0, 1].
        mean: What is subtracted then, per channel; empty for nothing.
        std: What they are divided by then.
        per_input: What is done to every input by itself at the end, a key of `PER_INPUT`; empty for nothing.
        rows: Which of the source's inputs these are, int64 (n,) on the CPU; None for all.
        device: Where tensors come to.
    """

    source: Source
    scale: float = 255.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    per_input: str = ""
    rows: torch.Tensor | None = None
    device: torch.device = _CPU

    # As of a tensor.

    dtype = torch.float32

    def __len__(self) -> int:
        """Return how many inputs there are."""
        return len(self.source) if self.rows is None else len(self.rows)

    @property
    def shape(self) -> torch.Size:
        """(n, channels, height, width)."""
        return torch.Size((len(self), *self.source.shape))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def size(self, axis: int | None = None) -> Any:
        """Return the shape, or one of its sides."""
        return self.shape if axis is None else self.shape[axis]

    def numel(self) -> int:
        """Return how many numbers there are."""
        return math.prod(self.shape)

    def is_floating_point(self) -> bool:
        """Return that what comes is."""
        return True

    def to(self, device: torch.device | str) -> Any:
        """Return them for a device.

        What lies in memory is moved there, as a float32 tensor if that is not too large for an accelerator.
        """
        where = torch.device(device)
        moved = replace(self, source=self.source.to(where), device=where)
        is_small = where.type != "cpu" and not self.is_streamed and self.numel() <= _FLOATS_ON_DEVICE
        return moved[:] if is_small else moved

    def __getitem__(self, rows: Any) -> torch.Tensor:
        """Return some inputs, or one of them, as float32 on the device; only these are read.

        Args:
            rows: A number, a slice, numbers of rows or truth values, on any device.

        Raises:
            IndexError: There is no such row.
        """
        if isinstance(rows, (int, np.integer)):
            if not -len(self) <= rows < len(self):
                raise IndexError(f"there are {len(self)} inputs; given {rows}")
            return self[[int(rows)]][0]
        return self._float(self.source.take(self._in_source(self._numbers(rows))))

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Return an iterator over batches in order, which may be read ahead."""
        return self.batches(torch.arange(len(self)), size)

    # What a tensor has not.

    @property
    def is_streamed(self) -> bool:
        """Whether they stay on the disk until they are used."""
        return self.source.is_streamed

    def select(self, rows: Any) -> Pictures:
        """Return some of them, of which nothing is read."""
        return replace(self, rows=self._in_source(self._numbers(rows)).cpu())

    def part(self, rows: np.ndarray) -> Pictures:
        """Return some of them as a part of the data by itself."""
        return replace(self, source=self.source.part(self._in_source(torch.from_numpy(rows)).numpy()), rows=None)

    def batches(self, rows: torch.Tensor, size: int | list[int]) -> Iterator[torch.Tensor]:
        """Return an iterator over batches of inputs, which may be read ahead.

        Args:
            rows: Their numbers in the order in which they come, on any device.
            size: Inputs of a batch, or of each of them.

        Yields:
            Float32 (≤ size, *shape) on the device.

        Raises:
            InvalidInputError: An input cannot be read.
            NasSensError: A process that reads them ended.
        """
        places = self._in_source(rows.cpu() if self.is_streamed else rows)  # waits for the device once
        for raw in self.source.batches(places.split(size), is_pinned=self.device.type == "cuda"):
            yield self._float(raw)

    def bounds(self) -> tuple[float, float]:
        """Return between what all numbers are if raw ones are from 0 to 255, without reading any."""
        ends = [torch.full((1, *self.source.shape), value, dtype=torch.uint8) for value in (0, 255)]
        numbers = torch.cat([replace(self, device=_CPU, per_input="")._float(x) for x in ends])
        return float(numbers.min()), float(numbers.max())

    def _numbers(self, rows: Any) -> torch.Tensor:
        """Return row numbers from what a tensor is indexed by."""
        if isinstance(rows, slice):
            return torch.arange(len(self))[rows]
        found = torch.as_tensor(rows)
        if found.dtype == torch.bool:
            return found.nonzero().flatten()
        return torch.where(found < 0, found + len(self), found)

    def _in_source(self, rows: torch.Tensor) -> torch.Tensor:
        return rows if self.rows is None else self.rows[rows.to(self.rows.device)]

    def _float(self, raw: torch.Tensor) -> torch.Tensor:
        """Return raw inputs as they are used; the same numbers, bit for bit, on the CPU and on an accelerator."""
        x = raw.to(self.device, non_blocking=True).float()
        scale, mean, std = self._constants
        if self.scale != 1.0:
            x.div_(scale)
        if self.mean:
            x.sub_(mean).div_(std)
        return PER_INPUT[self.per_input](x) if self.per_input else x

    @cached_property
    def _constants(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scale, mean and std on the device; accelerators multiply by the reciprocal of a plain number instead."""
        sides = (1, -1, *[1] * (len(self.source.shape) - 1))
        mean, std = (torch.tensor(v, device=self.device).view(sides) for v in (self.mean or (0.0,), self.std or (1.0,)))
        return torch.tensor(self.scale, device=self.device), mean, std


def in_memory(pixels: np.ndarray) -> Pictures:
    """Return pictures uint8 (n, channels, height, width) that stay such until they are used."""
    return Pictures(InMemory(torch.from_numpy(np.ascontiguousarray(pixels))))


def moments_of(x: Pictures) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return mean and standard deviation (channels,) before standardising, float64; None of inputs of floats.

    They are those of how often each value occurs, hence the same in memory and streamed, to the last bit.
    """
    if (counts := x.source.counts()) is None:
        return None
    values = torch.arange(256, dtype=torch.float32).div_(x.scale).double()  # as they are used, rounded to float32
    n = counts.double()
    total = n.sum(1, keepdim=True)
    mean = (n * values).sum(1, keepdim=True) / total
    variance = (n * (values - mean).square()).sum(1, keepdim=True) / total
    return mean.flatten(), variance.sqrt().flatten()


def mean_and_std(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each entry over all inputs, float32 of the shape of one input."""
    if isinstance(x, torch.Tensor):
        return x.mean(dim=0), x.std(dim=0, correction=0)
    where = where_doubles_are(x.device)
    mean = sum((in_double(rows).sum(0) for rows in x.split(_ROWS)), torch.zeros((), device=where)) / len(x)
    squares = sum(
        (in_double(rows).sub_(mean).square_().sum(0) for rows in x.split(_ROWS)), torch.zeros((), device=where)
    )
    return mean.float().to(x.device), (squares / len(x)).sqrt().float().to(x.device)
