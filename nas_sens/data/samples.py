"""Raw samples as a data set file returns them, checked once for all data sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What a data set file may need to load its samples.

    Attributes:
        argument: Text after the colon of the data set's name (a path), or "".
        root: Folder where downloaded data sets lie.
        download: Whether a data set may be downloaded into ``root``.
    """

    argument: str = ""
    root: str = "data"
    download: bool = False


@dataclass(frozen=True, kw_only=True)
class Samples:
    """A data set in memory.

    Attributes:
        x: Inputs, float32 (n, channels, height, width) or (n, features); raw images in [0, 1].
        y: Labels, int64 (n,), from 0 to ``n_outputs`` - 1.
        x_test: Inputs of the official test set; None if the data set has none.
        y_test: Labels of the official test set.
        n_outputs: Number of classes.
    """

    x: torch.Tensor
    y: torch.Tensor
    n_outputs: int
    x_test: torch.Tensor | None = None
    y_test: torch.Tensor | None = None


def make_samples(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray | None = None, y_test: np.ndarray | None = None, *, source: str
) -> Samples:
    """Return checked samples from arrays.

    Args:
        x: (n, height, width), (n, height, width, channels), (n, channels, height, width) or (n, features); uint8
            images are divided by 255, floats are taken as they are. The channels are the last axis if that has 1, 3 or
            4 entries and the second has not.
        y: Integer labels (n,).
        x_test: As ``x``, of the official test set.
        y_test: As ``y``, of the official test set.
        source: The data set's name, for error messages.

    Raises:
        InvalidInputError: Shapes, types, labels or values cannot be used.
    """
    train = _inputs(x, f"{source}: x"), _labels(y, len(x), f"{source}: y")
    n_outputs = int(train[1].max()) + 1
    present = len(torch.unique(train[1]))
    if present < 2:
        raise InvalidInputError(f"{source}: at least 2 classes are required, given {present}; check the labels")
    if (x_test is None) != (y_test is None):
        raise InvalidInputError(f"{source}: test inputs and test labels must be given together")
    if x_test is None or y_test is None:
        return Samples(x=train[0], y=train[1], n_outputs=n_outputs)
    test = _inputs(x_test, f"{source}: x_test"), _labels(y_test, len(x_test), f"{source}: y_test")
    if test[0].shape[1:] != train[0].shape[1:]:
        raise InvalidInputError(
            f"{source}: training and test inputs must have the same shape; "
            f"given {tuple(train[0].shape[1:])} and {tuple(test[0].shape[1:])}"
        )
    if int(test[1].max()) >= n_outputs:
        raise InvalidInputError(
            f"{source}: test labels must be from 0 to {n_outputs - 1} as in training; given {int(test[1].max())}"
        )
    return Samples(x=train[0], y=train[1], n_outputs=n_outputs, x_test=test[0], y_test=test[1])


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
    if not torch.isfinite(values).all():
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
            raise InvalidInputError(f"{what} must hold integer class labels; given {wrong[0]}")
        y = y.astype(np.int64)
    if y.min() < 0:
        raise InvalidInputError(f"{what} must be labels from 0 upwards; given {y.min()}")
    return torch.from_numpy(y.astype(np.int64))
