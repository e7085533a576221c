"""Some of a set's samples that stand for all of it."""

from __future__ import annotations

from typing import Any

import torch

from ..core.inputs import mapped, rows_of


def stratified_order(y: torch.Tensor, *, generator: torch.Generator) -> torch.Tensor:
    """Return the rows of a set in a random order whose every beginning has all classes in proportion.

    Sets are often sorted by class, so that their first rows are of a few classes only. Of classes of equal size, the
    first n rows of this order hold equally many, to within one; of any others n · n_c / N, nearly.

    Args:
        y: Labels int64 (N,); or targets of another type or shape, whose order is just random.
        generator: Source of the order, on the device of ``y``.

    Returns:
        Row numbers int64 (N,).
    """
    shuffled = torch.randperm(len(y), generator=generator, device=y.device)
    if y.is_floating_point() or y.ndim != 1:
        return shuffled
    labels = y[shuffled]
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels)
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(y), device=y.device) - starts[labels[by_class]]  # among those of its class
    place = torch.empty(len(y), dtype=torch.float64, device=y.device)
    place[by_class] = (rank.double() + 0.5) / counts[labels[by_class]]
    return shuffled[place.argsort(stable=True)]


def part_of(x: Any, y: torch.Tensor, n: int, *, generator: torch.Generator) -> tuple[Any, torch.Tensor]:
    """Return ``n`` samples that stand for the set, by :func:`stratified_order`; all of it if it has no more.

    Of inputs that lie on the disk only these are read.

    Args:
        x: Inputs (N, *input_shape), of any structure.
        y: Labels or targets (N, ...), on any device.
        n: How many.
        generator: Source of the choice. One on the CPU chooses the same samples wherever the set lies.
    """
    if n >= len(y):
        return mapped(lambda part: part if isinstance(part, torch.Tensor) else part[:], x), y
    rows = chosen_rows(y, n, generator=generator)
    return rows_of(x, rows), y[rows.to(y.device)]


def chosen_rows(y: torch.Tensor, n: int, *, generator: torch.Generator) -> torch.Tensor:
    """Return the numbers of the rows that :func:`part_of` takes, on the device of ``generator``."""
    return stratified_order(y.to(generator.device), generator=generator)[:n]
