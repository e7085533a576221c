"""Batches that are made beside the work: by PyTorch's DataLoader with processes of its own, or by one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from ..core.errors import InvalidInputError, NasSensError, first_line

_AHEAD = 2  # batches a worker, PyTorch's own default
_MOST = 8


def n_workers(given: int | None) -> int:
    """Return how many processes decode pictures: those that were asked for, else one for each core, at most eight."""
    if given is not None:
        return given
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST, cores)


class Loader:
    """Runs a function of row numbers in processes that stay from epoch to epoch.

    Args:
        make: Returns what belongs to some rows.
        workers: How many processes; 0 for none.
        is_pinned: Whether tensors come in memory that an accelerator copies from while it works.
    """

    def __init__(self, make: Callable[[np.ndarray], Any], *, workers: int, is_pinned: bool = False) -> None:
        self._order = _Order()
        self._loader: DataLoader[Any] = DataLoader(
            _Rows(make),  # type: ignore[arg-type]
            batch_sampler=self._order,  # type: ignore[arg-type]
            collate_fn=_as_made,
            num_workers=workers,
            persistent_workers=workers > 0,
            prefetch_factor=_AHEAD if workers else None,
            pin_memory=is_pinned,
            # It draws a seed for its processes: from the global state, results would depend on how data are read.
            generator=torch.Generator(),
        )

    def batches(self, rows: Sequence[np.ndarray]) -> Iterator[Any]:
        """Return an iterator over what was made of each of several batches of rows, in their order.

        Yields:
            What ``make`` returned.

        Raises:
            InvalidInputError: ``make`` did.
            NasSensError: A process ended.
            RuntimeError: What else is wrong with them is let through.
        """
        self._order.rows = rows
        try:
            for found in self._loader:
                if isinstance(found, _Failed):
                    raise InvalidInputError(found.text)
                yield found
        except RuntimeError as error:  # "DataLoader worker (pid 7) is killed by signal"
            if "DataLoader worker" not in str(error):
                raise
            raise NasSensError(
                f"a process that decodes pictures ended: {first_line(error)}; lower workers in [data]"
            ) from error


class _Order:
    """Batches of row numbers that may be others in every epoch, while the processes stay."""

    rows: Sequence[np.ndarray] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class _Failed:
    """What a user did wrong, carried to the main process: PyTorch would make a page of text of it."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Rows:
    """What DataLoader calls a data set, asked for whole batches."""

    def __init__(self, make: Callable[[np.ndarray], Any]) -> None:
        self._make = make

    def __getitems__(self, rows: np.ndarray) -> Any:
        try:
            return self._make(rows)
        except InvalidInputError as error:
            return _Failed(str(error))


def _as_made(batch: Any) -> Any:
    return batch


def ahead(make: Callable[[Any], Any], what: Iterable[Any], n: int = _AHEAD) -> Iterator[Any]:
    """Return an iterator over what a function makes of things, by a thread that is ``n`` of them ahead.

    Yields:
        What the function returned, in order.
    """
    thread = ThreadPoolExecutor(1)
    try:
        rest = iter(what)
        waiting = [thread.submit(make, one) for one in islice(rest, n)]
        while waiting:
            found = waiting.pop(0).result()
            waiting += [thread.submit(make, one) for one in islice(rest, 1)]
            yield found
    finally:
        thread.shutdown(cancel_futures=True)
