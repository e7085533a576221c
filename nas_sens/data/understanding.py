"""What was understood of data, as a record: parts, classes, columns, notes; for those who look before they search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..core.inputs import parts_of, shape_of, shape_to_json
from .pictures import Pictures
from .samples import Column, Samples
from .splits import Splits


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What was understood of data.

    Attributes:
        name: The data set's name.
        task: What is to be learnt.
        input_shape: Shape of one input; a dict that says more where it is not one tensor of floating-point numbers.
        parts: Part to the number of its samples.
        classes: Class to the number of its samples in every part; empty for regression.
        target_range: Smallest and largest target of a regression; None for classes.
        input_range: Smallest and largest number of all inputs, as networks see them; of pictures that are not floats in
            memory the bounds of 0 and 255, as they are not decoded for it.
        columns: Columns of a table.
        fingerprint: Of the data and their split; "" if they are not split.
        notes: What the user should know.
    """

    name: str
    task: str
    input_shape: Any
    parts: dict[str, int]
    classes: dict[str, dict[str, int]]
    target_range: tuple[float, float] | None
    input_range: tuple[float, float]
    columns: tuple[Column, ...]
    fingerprint: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def understanding_of(samples: Samples, splits: Splits | None, *, name: str) -> Understanding:
    """Return what was understood of samples.

    Args:
        samples: As they were read.
        splits: Their parts; None if they could not be split.
        name: The data set's name.
    """
    x, y = _given(samples) if splits is None else _parts(splits)
    every = list(y.values())
    return Understanding(
        name=name,
        task=samples.task,
        input_shape=shape_to_json(shape_of(samples.x)),
        parts={part: len(values) for part, values in y.items()},
        classes=_classes(samples, y) if samples.task == "classification" else {},
        target_range=_range(every) if samples.task in ("regression", "other") else None,
        input_range=_range(x),
        columns=samples.columns,
        fingerprint="" if splits is None else splits.fingerprint,
        notes=samples.notes if splits is None else splits.notes,
    )


def _parts(splits: Splits) -> tuple[list[Any], dict[str, torch.Tensor]]:
    y = {"train": splits.y_train, "validation": splits.y_val, "test": splits.y_test}
    if splits.has_only_probe:
        return [splits.x_probe], y
    return [splits.x_train, splits.x_val, splits.x_test], y


def _given(samples: Samples) -> tuple[list[Any], dict[str, torch.Tensor]]:
    every = {"not split": (samples.x, samples.y), "validation": (samples.x_val, samples.y_val),
             "test": (samples.x_test, samples.y_test)}  # fmt: skip
    there = {part: (x, y) for part, (x, y) in every.items() if x is not None and y is not None}
    return [x for x, _ in there.values()], {part: y for part, (_, y) in there.items()}


def _classes(samples: Samples, y: dict[str, torch.Tensor]) -> dict[str, dict[str, int]]:
    names = samples.class_names or [str(i) for i in range(samples.n_outputs)]
    counts = {part: torch.bincount(values, minlength=samples.n_outputs).tolist() for part, values in y.items()}
    return {
        name: {"samples": sum(c[i] for c in counts.values())} | {part: c[i] for part, c in counts.items()}
        for i, name in enumerate(names)
    }


def _range(parts: Sequence[Any]) -> tuple[float, float]:
    tensors = [tensor for part in parts for tensor in parts_of(part) if tensor.numel()]
    bounds = [t.bounds() if isinstance(t, Pictures) else (float(t.min()), float(t.max())) for t in tensors]
    if not bounds:
        return 0.0, 0.0
    return min(low for low, _ in bounds), max(high for _, high in bounds)
