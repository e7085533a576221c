"""How a picture of any size becomes one of the size of inputs: one way, which exports tell to those who predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ..core.errors import InvalidInputError
from ._pillow import opened, pillow, upright

if TYPE_CHECKING:
    from PIL.Image import Image

# In timm's words. The picture is brought to the size of inputs without regard to its aspect, and nothing is cut off.
CROP_MODE = "squash"
CROP_PCT = 1.0
INTERPOLATION = "bilinear"  # Pillow's, which smooths where it makes smaller
PILLOW_FILTER = 2  # its number in Pillow
Mode = Literal["L", "RGB"]
_MODES: dict[int, Mode] = {1: "L", 3: "RGB"}


def mode_of(n_channels: int) -> Mode | None:
    """Return Pillow's mode of pictures with so many channels; None if pictures of files never have so many."""
    return _MODES.get(n_channels)


def read_picture(path: str, mode: Mode, size: tuple[int, int], *, source: str) -> np.ndarray:
    """Return a picture as inputs are made of it: uint8 (channels, height, width).

    It is turned upright as its EXIF says; transparency is dropped, and so is all but its first frame.

    Args:
        path: The file.
        mode: Grey or RGB.
        size: Height and width.
        source: What it is read for, for error messages.

    Raises:
        InvalidInputError: It cannot be read, is too large, or has more than 8 bits a channel.
    """
    with pillow(), opened(path, path, source) as image:
        if image.mode.startswith(("I", "F")):
            raise InvalidInputError(f"{source}: {path} has more than 8 bits a pixel (mode {image.mode}); convert it")
        return pixels_of(upright(image), mode, size).transpose(2, 0, 1)


def pixels_of(picture: Image, mode: Mode, size: tuple[int, int]) -> np.ndarray:
    """Return an upright picture as uint8 (height, width, channels), of a mode and size."""
    picture = picture.convert(mode)
    if picture.size != size[::-1]:
        picture = picture.resize(size[::-1], resample=PILLOW_FILTER)
    return np.asarray(picture).reshape(*size, -1)
