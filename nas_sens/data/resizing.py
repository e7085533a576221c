"""How a picture of any size becomes one of the size of inputs: one way, which exports tell to those who predict."""

from __future__ import annotations

from typing import Literal

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
