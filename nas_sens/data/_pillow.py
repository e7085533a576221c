"""Pillow, held to formats that it decodes itself, to our bounds, and to silence about what we tell in our own words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING

from ..core.errors import InvalidInputError, first_line
from .bounds import check_picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

File = str | IO[bytes]  # what Pillow opens

# Each knows its files by their first bytes. Others that Pillow reads run programs (EPS, WMF) or need plugins.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_ORIENTATION = 0x0112  # of EXIF: 1 is upright, 5 to 8 lie on their sides
_EXIF_KEYS = {"exif", "Raw profile type exif"}


@contextmanager
def pillow() -> Iterator[None]:
    """Return a context in which Pillow warns of nothing and leaves the bounds of a picture to `opened`."""
    from PIL import Image as pil

    usual, pil.MAX_IMAGE_PIXELS = pil.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pil.MAX_IMAGE_PIXELS = usual


@cache
def formats() -> list[str]:
    """Return the formats that are read, as far as this Pillow can."""
    from PIL import Image as pil

    pil.init()
    return [f for f in _FORMATS if f in pil.OPEN]


@cache
def endings() -> frozenset[str]:
    """Return the endings, in lower case, of files that must be pictures."""
    from PIL import Image as pil

    known = set(formats()) | {"MPO"}  # two JPEG in one file, which cameras write
    return frozenset(ending for ending, name in pil.registered_extensions().items() if name in known)


def is_picture(path: str) -> bool:
    """Return whether the content of a file is that of a picture; one that cannot be opened is none."""
    from PIL import Image as pil

    try:
        if os.path.getsize(path) == 0:  # also files of the system's that wait for a reader
            return False
        with pillow(), pil.open(path, formats=formats()):
            return True
    except Exception:  # what its parsers raise at any content, see `opened`
        return False


@contextmanager
def opened(file: File, name: str, source: str) -> Iterator[ImageFile]:
    """Return a context with an opened picture, of which nothing is decoded yet.

    Raises:
        InvalidInputError: It cannot be read or decoded (also if that shows within the context), or it is too large.
    """  # noqa: DOC402 - a context manager's yield is what it gives
    from PIL import Image as pil

    try:
        with pil.open(file, formats=formats()) as image:
            width, height = image.size
            check_picture(width, height, f"{source}: {name}")
            yield image
    except InvalidInputError:
        raise
    except pil.UnidentifiedImageError as error:
        raise InvalidInputError(
            f"{source}: {name} cannot be read as an image ({_what_it_is(file)}); repair, convert or remove it"
        ) from error
    except Exception as error:  # damaged files raise what its parsers happen upon, from KeyError to struct.error
        text = getattr(error, "strerror", None) or first_line(error)
        raise InvalidInputError(
            f"{source}: {name} cannot be read as an image ({text[:200]}); repair or remove it"
        ) from error


def _what_it_is(file: File) -> str:
    is_empty = os.path.getsize(file) == 0 if isinstance(file, str) else file.seek(0, os.SEEK_END) == 0
    return "it is empty" if is_empty else f"it is none of {', '.join(formats())}"


def upright_size(image: ImageFile) -> tuple[int, int]:
    """Return height and width as a viewer shows an opened picture, without decoding it if that can be."""
    width, height = image.size
    return (width, height) if _orientation(image) > 4 else (height, width)


def upright(image: ImageFile) -> Image:
    """Return a picture turned as its EXIF says.

    Pillow's ``exif_transpose`` writes the EXIF anew, which fails where something else in it is damaged.
    """
    from PIL.Image import Transpose

    image.load()
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    turn = turns.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: ImageFile) -> int:
    """Return the EXIF's orientation, 1 to 8; 1 where there is none or it cannot be read."""
    if image.format == "TIFF":  # Pillow turns it itself
        return 1
    if image.format == "PNG" and not _EXIF_KEYS & image.info.keys():  # Pillow would decode it to look behind the pixels
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF raises anything, and the pixels are not in it
        return 1
    return value if value in range(1, 9) else 1
