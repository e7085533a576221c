"""Raw labels of classification and targets of regression, numbered from 0; what is done to them is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import InvalidInputError

MAX_CLASSES_OF_FEW = 20  # in few samples; where there are more, at most half as many classes as samples


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels of the training part.

    Attributes:
        y: int64 (n,), from 0.
        values: What stands for every class in the array, in the order of the labels, if that is not its number.
        notes: What the user is told.
    """

    y: torch.Tensor
    values: tuple[object, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes; empty where they are only numbers."""
        return tuple(map(str, self.values))


def labels_from(y: np.ndarray, n: int, what: str) -> Labels:
    """Return labels from whole numbers, truth values, text, a column of these, or one-hot rows.

    Numbers from 0 without gaps stay. Text, truth values, numbers from 1 without gaps, two numbers, and -1 with 1 are
    numbered in their order.

    Raises:
        InvalidInputError: They are something else, or too many for classes.
    """
    y, notes = _flat(np.asarray(y), n, what)
    distinct, codes = np.unique(y, return_inverse=True)
    if len(distinct) < 2:
        raise InvalidInputError(f"{what}: at least 2 classes are required, given {len(distinct)}; check the labels")
    if len(distinct) > max(MAX_CLASSES_OF_FEW, n // 2):
        raise InvalidInputError(
            f"{what} holds {len(distinct):,} different labels in {n:,} samples, too many for classes, such as "
            f'{str(distinct[-1])[:40]!r}; for numbers to predict, set task = "regression"'
        )
    k = len(distinct)
    if y.dtype.kind in "ui" and int(distinct[0]) == 0 and int(distinct[-1]) == k - 1:
        return Labels(y=torch.from_numpy(y.astype(np.int64)), notes=tuple(notes))
    if y.dtype.kind in "ui":
        low, high = int(distinct[0]), int(distinct[-1])
        is_pair = k == 2 and (low >= 0 or low == -high)  # a negative one beside others perhaps marks no label
        if not (is_pair or (low == 1 and high == k)):
            raise InvalidInputError(
                f"{what} {_gap(distinct)}; number the {k} classes from 0 to {k - 1}, for example by "
                "numpy.unique(y, return_inverse=True)[1]"
            )
        shown = ", ".join(map(str, distinct[:3])) + (", …" if k > 3 else "")
        notes.append(f"the labels {shown} are numbered from 0")
    return Labels(
        y=torch.from_numpy(codes.reshape(-1).astype(np.int64)), values=tuple(distinct.tolist()), notes=tuple(notes)
    )


def labels_like(y: np.ndarray, n: int, what: str, train: Labels, n_outputs: int) -> torch.Tensor:
    """Return the labels of another part, numbered as those of the training part.

    Raises:
        InvalidInputError: There is one that the training part has not.
    """
    y, _ = _flat(np.asarray(y), n, what)
    if not train.values:
        is_known = (y >= 0) & (y < n_outputs) if y.dtype.kind in "ui" else np.zeros(n, dtype=bool)
        if not is_known.all():
            raise InvalidInputError(
                f"{what} must be labels from 0 to {n_outputs - 1} as in training; given {str(y[~is_known][0])[:40]}"
            )
        return torch.from_numpy(y.astype(np.int64))
    place = {v: i for i, v in enumerate(train.values)}
    distinct, codes = np.unique(y, return_inverse=True)
    if unknown := [v for v in distinct.tolist() if v not in place]:
        raise InvalidInputError(f"{what}: the label {str(unknown[0])[:40]!r} is none of those in training")
    return torch.from_numpy(np.array([place[v] for v in distinct.tolist()])[codes.reshape(-1)].astype(np.int64))


def targets_from(y: np.ndarray, n: int, what: str) -> torch.Tensor:
    """Return the targets of a regression, float32 (n, 1).

    Raises:
        InvalidInputError: They are no numbers, not finite, or not one for each input.
    """
    y = np.asarray(y)
    if y.shape not in ((n,), (n, 1)):
        raise InvalidInputError(f"{what} must have one number for each of {n} inputs, shape ({n},); given {y.shape}")
    if y.dtype.kind not in "uif":
        raise InvalidInputError(f"{what} must hold numbers to predict; given an array of type {y.dtype}")
    with np.errstate(over="ignore"):
        values = torch.from_numpy(np.ascontiguousarray(y.reshape(n, 1), dtype=np.float32))
    if not torch.isfinite(values).all():
        raise InvalidInputError(f"{what} must be finite in float32, but holds NaN, infinity or a number above 3e38")
    return values


def _flat(y: np.ndarray, n: int, what: str) -> tuple[np.ndarray, list[str]]:
    """Return labels (n,) of whole numbers, truth values or text, and what the user is told.

    Raises:
        InvalidInputError: They are not one for each input, or of another type.
    """
    notes: list[str] = []
    if y.shape == (n, 1):
        y = y[:, 0]
    elif y.ndim == 2 and len(y) == n and y.shape[1] > 1 and y.dtype.kind in "uifb":
        if not bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all()):
            raise InvalidInputError(
                f"{what} must have one label for each of {n} inputs, shape ({n},), or one-hot rows; given {y.shape}, "
                "with rows that are not one 1 among zeros; take y.argmax(1)"
            )
        notes.append(f"labels of {y.shape[1]} one-hot columns are taken by their place")
        y = y.argmax(1)
    if y.shape != (n,):
        raise InvalidInputError(f"{what} must have one label for each of {n} inputs, shape ({n},); given {y.shape}")
    if y.dtype.kind == "f":
        if (wrong := y[~(np.isfinite(y) & (y == np.round(y)))]).size:
            raise InvalidInputError(
                f"{what} must hold integer class labels; given {wrong[0]}; "
                'for numbers to predict, set task = "regression"'
            )
        if float(np.abs(y).max()) >= 2**63:
            raise InvalidInputError(
                f"{what} must hold integer class labels; given {y.max():g}; number the classes from 0"
            )
        y = y.astype(np.int64)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind not in "uibU":
        raise InvalidInputError(
            f"{what} must hold class labels, whole numbers or text; given an array of type {y.dtype}"
        )
    return y, notes


def _gap(distinct: np.ndarray) -> str:
    """Return what keeps labels from being 0, 1, 2, …, in words."""
    low, high, k = int(distinct[0]), int(distinct[-1]), len(distinct)
    if low < 0:
        return f"must be labels from 0 upwards; given {low}"
    start = min(low, 1)
    present = {int(v) for v in distinct}
    missing = next(i for i in range(start, start + k) if i not in present)
    return f"must be labels from 0 to {k - 1}, each at least once; given up to {high}, but none is {missing}"
