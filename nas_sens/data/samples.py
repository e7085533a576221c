"""Raw samples as a data set file returns them, checked once for all data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..core.errors import InvalidInputError

Task = Literal["classification", "regression"]
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table as it was understood.

    Attributes:
        name: Its name in the header line, or the one that it was given.
        kind: ``number``, ``truth value``, ``category``, ``date`` or ``left out``; of the target ``classes`` or
            ``quantity``.
        features: How many features it became.
        values: How many different values it has.
        missing: In how many rows it has no value.
        note: What is peculiar, such as the values that keep it from being used; "" if nothing is.
    """

    name: str
    kind: str
    features: int
    values: int
    missing: int = 0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What a data set file may need to load its samples.

    Attributes:
        argument: Text after the colon of the data set's name (a path), or "".
        target: Column that is to be predicted; None if it was not given.
        task: What is to be learnt, or "auto" to tell from the target.
        image_size: Height and width to resize images to; None to keep theirs.
        root: Folder where downloaded data sets lie.
        download: Whether a data set may be downloaded into ``root``.
    """

    argument: str = ""
    target: str | None = None
    task: Literal["auto", "classification", "regression"] = "auto"
    image_size: tuple[int, int] | None = None
    root: str = "data"
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A data set in memory.

    Attributes:
        x: Inputs, float32 (n, channels, height, width) or (n, features); raw images in [0, 1].
        y: Labels, int64 (n,), from 0 to ``n_outputs`` - 1; for regression targets, float32 (n, 1), in their own units.
        x_test: Inputs of the official test set; None if the data set has none.
        y_test: Labels or targets of the official test set.
        x_val: Inputs of the official validation set; None if the data set has none.
        y_val: Labels or targets of the official validation set.
        n_outputs: Number of classes; 1 for regression.
        task: What is to be learnt.
        class_names: Name of every class, in the order of the labels; empty where labels are only numbers.
        feature_names: Name of every feature of a table; empty where there are no names.
        columns: The columns of a table as they were understood; empty if it was none.
        notes: What was left out, taken for something or looks strange, one line each: the user is told.
    """

    x: torch.Tensor
    y: torch.Tensor
    n_outputs: int
    x_test: torch.Tensor | None = None
    y_test: torch.Tensor | None = None
    x_val: torch.Tensor | None = None
    y_val: torch.Tensor | None = None
    task: Task = "classification"
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    notes: tuple[str, ...] = ()


def make_samples(
    x: np.ndarray,
    y: np.ndarray,
    x_test: np.ndarray | None = None,
    y_test: np.ndarray | None = None,
    *,
    source: str,
    val: Pair | None = None,
    task: Task = "classification",
    class_names: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    columns: Sequence[Column] = (),
    notes: Sequence[str] = (),
) -> Samples:
    """Return checked samples from arrays.

    Args:
        x: (n, height, width), (n, height, width, channels), (n, channels, height, width) or (n, features); uint8
            images are divided by 255, floats are taken as they are. The channels are the last axis if that has 1, 3 or
            4 entries and the second has not.
        y: Integer labels (n,), or for regression numbers (n,) or (n, 1).
        x_test: As ``x``, of the official test set.
        y_test: As ``y``, of the official test set.
        source: The data set's name, for error messages.
        val: As ``x`` and ``y``, of the official validation set.
        task: What is to be learnt.
        class_names: Name of every class; empty if they have none.
        feature_names: Name of every feature; empty if they have none.
        columns: The columns of a table as they were understood.
        notes: What the user is to be told.

    Raises:
        InvalidInputError: Shapes, types, labels or values cannot be used.
    """
    if (x_test is None) != (y_test is None):
        raise InvalidInputError(f"{source}: test inputs and test labels must be given together")
    read_targets = _labels if task == "classification" else _targets
    train = _inputs(x, f"{source}: x"), read_targets(y, len(x), f"{source}: y")
    present = len(torch.unique(train[1]))
    if present < 2:
        what = "classes" if task == "classification" else "different targets"
        raise InvalidInputError(f"{source}: at least 2 {what} are required, given {present}; check the labels")
    n_outputs = 1 if task == "regression" else max(int(train[1].max()) + 1, len(class_names))
    if task == "classification" and not class_names and present < n_outputs:
        missing = int(np.setdiff1d(np.arange(n_outputs), train[1].numpy())[0])
        raise InvalidInputError(
            f"{source}: labels must be 0 to {n_outputs - 1}, each at least once, but none is {missing}; number the "
            f"{present} classes from 0 to {present - 1}"
        )
    test = None if x_test is None or y_test is None else (x_test, y_test)
    held_out: dict[str, torch.Tensor] = {}
    for part, pair in (("test", test), ("val", val)):
        if pair is None:
            continue
        inputs = _inputs(pair[0], f"{source}: x_{part}")
        targets = read_targets(pair[1], len(pair[0]), f"{source}: y_{part}")
        _check_like_training(
            inputs, targets, train[0], n_outputs, task, "test" if part == "test" else "validation", source
        )
        held_out |= {f"x_{part}": inputs, f"y_{part}": targets}
    return Samples(
        x=train[0],
        y=train[1],
        n_outputs=n_outputs,
        task=task,
        class_names=tuple(class_names),
        feature_names=tuple(feature_names),
        columns=tuple(columns),
        notes=(*notes, *spelling_notes(class_names)),
        **held_out,
    )


def spelling_notes(names: Sequence[str], what: str = "classes") -> list[str]:
    """Return a line on names that differ in blanks and capitals only, of which some are perhaps meant to be one."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(str(name).casefold().split()), []).append(name)
    alike = [", ".join(map(repr, group)) for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
    return [f"different {what} that differ only in blanks or capitals: {'; '.join(alike[:3])}{more}; spell them alike"]


def _check_like_training(
    x: torch.Tensor, y: torch.Tensor, x_train: torch.Tensor, n_outputs: int, task: Task, part: str, source: str
) -> None:
    if x.shape[1:] != x_train.shape[1:]:
        raise InvalidInputError(
            f"{source}: training and {part} inputs must have the same shape; "
            f"given {tuple(x_train.shape[1:])} and {tuple(x.shape[1:])}"
        )
    if task == "classification" and int(y.max()) >= n_outputs:
        raise InvalidInputError(
            f"{source}: {part} labels must be from 0 to {n_outputs - 1} as in training; given {int(y.max())}"
        )


def _inputs(x: np.ndarray, what: str) -> torch.Tensor:
    x = np.asarray(x)
    if x.dtype.kind not in "uifb":
        raise InvalidInputError(f"{what} must hold numbers; given an array of type {x.dtype}")
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise InvalidInputError(f"{what} must be (n, features) or (n, images …), 2 to 4 axes; given {x.shape}")
    scale = 255.0 if x.dtype == np.uint8 and x.ndim > 2 else 1.0
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        x = x.transpose(0, 3, 1, 2)
    values = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    if scale != 1.0:
        values.div_(scale)
    low, high = torch.aminmax(values)  # both are NaN if one entry is; unlike isfinite, needs no copy
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise InvalidInputError(f"{what} must be finite, but holds NaN or infinity; clean or impute the data first")
    return values


def _labels(y: np.ndarray, n: int, what: str) -> torch.Tensor:
    y = np.asarray(y)
    if y.shape != (n,):
        raise InvalidInputError(f"{what} must have one label for each of {n} inputs, shape ({n},); given {y.shape}")
    if y.dtype.kind not in "ui":
        if y.dtype.kind != "f":
            raise InvalidInputError(f"{what} must hold integer class labels; given an array of type {y.dtype}")
        if (wrong := y[~(np.isfinite(y) & (y == np.round(y)))]).size:
            raise InvalidInputError(
                f"{what} must hold integer class labels; given {wrong[0]}; "
                'for numbers to predict, set task = "regression"'
            )
        y = y.astype(np.int64)
    if y.min() < 0:
        raise InvalidInputError(f"{what} must be labels from 0 upwards; given {y.min()}")
    return torch.from_numpy(y.astype(np.int64))


def _targets(y: np.ndarray, n: int, what: str) -> torch.Tensor:
    y = np.asarray(y)
    if y.shape not in ((n,), (n, 1)):
        raise InvalidInputError(f"{what} must have one number for each of {n} inputs, shape ({n},); given {y.shape}")
    if y.dtype.kind not in "uif":
        raise InvalidInputError(f"{what} must hold numbers to predict; given an array of type {y.dtype}")
    values = torch.from_numpy(np.ascontiguousarray(y.reshape(n, 1), dtype=np.float32))
    if not torch.isfinite(values).all():
        raise InvalidInputError(f"{what} must be finite in float32, but holds NaN, infinity or a number above 3e38")
    return values
