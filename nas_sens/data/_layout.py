"""Raw arrays as inputs: which axis holds channels, how whole numbers are scaled, what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from ..core.errors import InvalidInputError
from .bounds import check_size
from .pictures import FLOATS_AT_ONCE, Pictures, in_memory

Layout = Literal["auto", "nchw", "nhwc", "nhw", "ncl", "nlc"]

_USUAL = (1, 3, 4)  # numbers of channels of pictures
_MOVES = {"nhwc": (0, 3, 1, 2), "nlc": (0, 2, 1)}
_AXES = {"nchw": 4, "nhwc": 4, "nhw": 3, "ncl": 3, "nlc": 3}


def inputs_from(x: Any, what: str, layout: Layout = "auto", *, beside: Sequence[Any] = ()) -> tuple[Any, list[str]]:
    """Return inputs (n, features), (n, channels, height, width) or (n, channels, length), and what the user is told.

    They are float32, or float64 for features that float32 cannot tell apart; pictures of 8 bits stay such until they
    are used (:class:`~nas_sens.data.pictures.Pictures`) unless they are few. Whole numbers of pictures are divided by
    the largest of their range, 255 or 65,535; floats are taken as they are.

    Args:
        x: (n, features), or pictures or sequences in one of the orders of ``layout``.
        what: How they are called in messages.
        layout: Order of their axes; "auto" to tell from their shape.
        beside: The other parts, whose whole numbers count for the range: all parts are divided by the same.

    Raises:
        InvalidInputError: They are no numbers, not finite, or of a shape that could be read in two ways.
    """
    if isinstance(x, Pictures):
        return x, []
    x = np.asarray(x)
    if x.dtype.kind not in "uifb":
        raise InvalidInputError(f"{what} must hold numbers; given an array of type {x.dtype}")
    if x.ndim not in (2, 3, 4) or 0 in x.shape:
        raise InvalidInputError(f"{what} must be (n, features) or (n, images …), 2 to 4 axes; given {x.shape}")
    notes: list[str] = []
    layout = _layout(x, what, layout, notes)
    is_kept = x.dtype == np.uint8 and x.size > FLOATS_AT_ONCE and x.ndim > 2 and layout not in ("ncl", "nlc")
    check_size(x.size * (1 if is_kept else 4), f"{what}: {x.shape[0]:,} inputs of {x.size // x.shape[0]:,} numbers")
    scale = 1.0 if x.ndim == 2 or layout in ("ncl", "nlc") else _scale(x, beside, notes)
    if x.ndim == 2 and _needs_double(x):
        values = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
    else:
        x = x[:, None] if layout == "nhw" else x.transpose(_MOVES[layout]) if layout in _MOVES else x
        if is_kept:
            return in_memory(x), notes
        values = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    if scale != 1.0:
        values.div_(scale)
    low, high = torch.aminmax(values)  # both are NaN if one entry is; unlike isfinite, needs no copy
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise InvalidInputError(f"{what} must be finite, but holds NaN or infinity; clean or impute the data first")
    return values, notes


def _layout(x: np.ndarray, what: str, given: Layout, notes: list[str]) -> Layout:
    """Return the order of the axes; "auto" for features.

    Raises:
        InvalidInputError: It does not go with the shape, or the shape could be read in two ways and nothing was said.
    """
    if given != "auto":
        if x.ndim != _AXES[given]:
            raise InvalidInputError(f"{what} must have {_AXES[given]} axes for layout = {given!r}; given {x.shape}")
        return given
    if x.ndim == 4:
        return _images_layout(x.shape, what, notes)
    if x.ndim == 3:
        if x.dtype != np.uint8 and max(x.shape[1:]) > 2 * min(x.shape[1:]):
            raise InvalidInputError(
                f"{what} of shape {x.shape} could be grey pictures or sequences; set layout in [data]: "
                '"nhw" for pictures, "ncl" for sequences with the channels first, "nlc" with the channels last'
            )
        if x.dtype != np.uint8 and (x.shape[1] != x.shape[2] or (x.dtype.kind == "f" and x.min() < 0)):
            notes.append(f'x is taken for grey pictures of {_pixels(x.shape[1:])}; for sequences set layout = "ncl"')
        return "nhw"
    return "auto"


def _images_layout(shape: tuple[int, ...], what: str, notes: list[str]) -> Layout:
    """Return which axis of pictures holds the channels, by all that speaks for either.

    Raises:
        InvalidInputError: As much speaks for the first as for the last.
    """
    _, a, b, c = shape
    first, last = _evidence(a, (b, c)), _evidence(c, (a, b))
    if first == last or (abs(first - last) == 1 and a in _USUAL and c in _USUAL):
        raise InvalidInputError(
            f"{what} of shape {shape} could be pictures of {_pixels((b, c))} with {a} channels or of {_pixels((a, b))} "
            f'with {c}; set layout in [data]: "nchw" for the former, "nhwc" for the latter'
        )
    layout: Layout = "nchw" if first > last else "nhwc"
    channels, pixels = (a, (b, c)) if first > last else (c, (a, b))
    if channels not in _USUAL:
        other = "nhwc" if first > last else "nchw"
        where = "first" if first > last else "last"
        notes.append(
            f"x is taken for pictures of {_pixels(pixels)} with {channels} channels, which stand {where}; "
            f'if they do not, set layout = "{other}"'
        )
    return layout


def _evidence(channels: int, pixels: tuple[int, int]) -> int:
    """Return how much speaks for pictures of such a shape; pictures of one row or column are rare."""
    height, width = pixels
    usual, is_few = channels in _USUAL, channels < min(pixels)
    return 2 * (height == width) + 2 * usual + is_few - 2 * (1 in pixels)


def _scale(x: np.ndarray, beside: Sequence[np.ndarray], notes: list[str]) -> float:
    """Return what numbers of pictures are divided by."""
    if x.dtype == np.uint8:
        return 255.0
    alike = [x, *(b for b in beside if x.dtype.kind in "ui" and b.dtype.kind in "ui" and b.size)]
    low, high = min(b.min() for b in alike), max(b.max() for b in alike)
    if x.dtype.kind == "f":
        if 1.5 < high <= 255 and low >= 0:
            notes.append(f"x holds floats from {low:g} to {high:g} that are taken as they are; divide them by 255, or "
                         "set standardize = true")  # fmt: skip
        return 1.0
    if x.dtype.kind == "b" or (low >= 0 and high <= 1):
        return 1.0
    if low < 0 or high > 65_535:
        notes.append(f"x holds whole numbers from {low} to {high} that are taken as they are; consider standardize = "
                     "true")  # fmt: skip
        return 1.0
    scale = 65_535.0 if x.dtype == np.uint16 or high > 255 else 255.0
    notes.append(f"x holds whole numbers from {low} to {high} ({x.dtype}), which are divided by {scale:,.0f}")
    return scale


def _pixels(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size)) + " pixels"


def _needs_double(x: np.ndarray) -> bool:
    """Return whether float32, with its 24 binary digits, cannot tell the values of some feature apart."""
    if x.dtype not in (np.float64, np.int64, np.uint64, np.int32, np.uint32):
        return False
    low, high = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
    return bool(needs_double(low, high).any())


def needs_double(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return of which features, given their smallest and largest value, float32 cannot tell the values apart."""
    largest = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(invalid="ignore", over="ignore"):
        is_narrow = (high > low) & (high - low < 1e-3 * largest)
    return np.isfinite(largest) & (largest < 3e38) & ((largest > 2**24) | is_narrow)
