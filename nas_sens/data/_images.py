"""Pictures (PIL) as one array: grey if all are, colour otherwise, of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL.Image import Image

_GREY = ("L", "1", "LA")
_DEEP = ("I", "F")


def stack_images(
    openers: Sequence[Callable[[], Image]], names: Sequence[str], image_size: tuple[int, int] | None, *, source: str
) -> np.ndarray:
    """Return pictures as uint8 (n, channels, height, width), one decoded at a time.

    Grey pictures have one channel if all are grey, otherwise every picture is made RGB; transparency is dropped.

    Args:
        openers: One function per picture that opens it; called twice, first to look at mode and size.
        names: What to call each picture in an error message.
        image_size: Height and width to resize to, without regard to the aspect; None if all have one size.
        source: The data set's name, for error messages.

    Raises:
        InvalidInputError: A picture cannot be read, has more than 8 bits a channel, or another size than the first.
    """  # noqa: DOC501 - `_unreadable` makes the error
    is_grey = True
    size = None
    for opener, name in zip(openers, names, strict=True):
        with _read(opener, name, source) as image:
            if image.mode.startswith(_DEEP):
                raise InvalidInputError(
                    f"{source}: {name} has more than 8 bits a pixel (mode {image.mode}); convert it, or use npz:PATH"
                )
            is_grey = is_grey and image.mode in _GREY
            size = size or image.size
            if image_size is None and image.size != size:
                raise InvalidInputError(
                    f"{source}: all images must have one size, but {name} has {image.size[1]}×{image.size[0]} pixels "
                    f"and {names[0]} {size[1]}×{size[0]}; set image_size in [data] to resize them"
                )
    assert size is not None
    height, width = image_size or (size[1], size[0])
    pixels = np.empty((len(openers), height, width, 1 if is_grey else 3), dtype=np.uint8)
    for i, (opener, name) in enumerate(zip(openers, names, strict=True)):
        with _read(opener, name, source) as image:
            try:
                picture = image.convert("L" if is_grey else "RGB")
            except (OSError, ValueError, SyntaxError) as error:
                raise _unreadable(name, source, error) from error
            if picture.size != (width, height):
                picture = picture.resize((width, height), resample=2)  # PIL's bilinear filter, which smooths
            pixels[i] = np.asarray(picture).reshape(height, width, -1)
    return pixels.transpose(0, 3, 1, 2)


def _read(opener: Callable[[], Image], name: str, source: str) -> Image:
    from PIL import Image as pil

    try:
        return opener()
    except (OSError, ValueError, SyntaxError, pil.DecompressionBombError) as error:
        raise _unreadable(name, source, error) from error


def _unreadable(name: str, source: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(f"{source}: {name} cannot be read as an image ({error}); repair or remove it")
