"""Pictures as one array: grey if all are, colour otherwise, upright, of one size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InvalidInputError
from ._pillow import File, opened, pillow, upright, upright_size
from .bounds import check_size
from .resizing import PILLOW_FILTER

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_GREY = ("L", "1", "LA")
_DEEP = ("I", "F")
_MAX_SIDE = 10**6


def stack_images(
    files: Sequence[Callable[[], File]],
    names: Sequence[str],
    image_size: tuple[int, int] | None,
    *,
    source: str,
    mode: str | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Return pictures as uint8 (n, channels, height, width), one decoded at a time, and what was dropped of them.

    Grey pictures have one channel if all are grey, otherwise every picture is made RGB. Pictures are turned as their
    EXIF says; transparency is dropped, and so is all but the first picture of a file.

    Args:
        files: One function per picture that returns its path or its content; called twice, first to look at mode and
            size, so that the array is made once and only if it is not too large.
        names: What to call each picture in a message.
        image_size: Height and width to resize to, without regard to the aspect; None if all have one size.
        source: The data set's name, for error messages.
        mode: Pillow's mode to bring every picture to first; None for its own.

    Raises:
        InvalidInputError: A picture cannot be read, is too large, has more than 8 bits a channel, or another size than
            the first; or all together are too large.
    """  # noqa: DOC501 - `_other_size` makes the error
    if image_size is not None and max(image_size) > _MAX_SIDE:
        raise InvalidInputError(
            f"{source}: image_size must be at most {_MAX_SIDE:,} pixels; lower image_size in [data]"
        )
    with pillow():
        is_grey, (height, width) = _survey(files, names, image_size, source, mode)
        channels = 1 if is_grey else 3
        check_size(len(files) * height * width * channels * 4, _what(len(files), height, width, source))
        pixels = np.empty((len(files), height, width, channels), dtype=np.uint8)
        dropped = _Dropped()
        for i, (file, name) in enumerate(zip(files, names, strict=True)):
            with opened(file(), name, source) as image:
                is_deep = ";16" in str(image.tile[:1])
                turned = upright(image)
                dropped.note(image, name, is_deep=is_deep)
                if mode is not None:
                    turned = turned.convert(mode)
                picture = turned.convert("L" if is_grey else "RGB")
                if picture.size != (width, height):
                    if image_size is None:  # its EXIF lies behind the pixels
                        raise _other_size(name, picture.size[::-1], names[0], (height, width), source)
                    picture = picture.resize((width, height), resample=PILLOW_FILTER)
                pixels[i] = np.asarray(picture).reshape(height, width, -1)
    return pixels.transpose(0, 3, 1, 2), dropped.lines()


def _survey(
    files: Sequence[Callable[[], File]],
    names: Sequence[str],
    image_size: tuple[int, int] | None,
    source: str,
    mode: str | None,
) -> tuple[bool, tuple[int, int]]:
    """Return whether all pictures are grey, and the size of all in pixels, from their headers.

    Raises:
        InvalidInputError: As `stack_images`.
    """  # noqa: DOC501 - `_other_size` makes the error
    is_grey = True
    size = image_size
    for file, name in zip(files, names, strict=True):
        with opened(file(), name, source) as image:
            own_mode = mode or image.mode
            if own_mode.startswith(_DEEP):
                raise InvalidInputError(
                    f"{source}: {name} has more than 8 bits a pixel (mode {own_mode}); convert it, or use npz:PATH"
                )
            is_grey = is_grey and own_mode in _GREY
            if size is None or name is names[0]:  # the least that all need, before the other headers are read
                size = size or upright_size(image)
                check_size(len(files) * size[0] * size[1] * 4, _what(len(files), *size, source))
            if image_size is None and (own_size := upright_size(image)) != size:
                raise _other_size(name, own_size, names[0], size, source)
    assert size is not None
    return is_grey, size


def _what(n: int, height: int, width: int, source: str) -> str:
    return f"{source}: {n:,} pictures of {height}×{width} pixels"


def _other_size(
    name: str, size: tuple[int, ...], first: str, first_size: tuple[int, int], source: str
) -> InvalidInputError:
    return InvalidInputError(
        f"{source}: all images must have one size, but {name} has {size[0]}×{size[1]} pixels "
        f"and {first} {first_size[0]}×{first_size[1]}; set image_size in [data] to resize them"
    )


class _Dropped:
    """Which pictures had more in them than was taken."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {"transparency": [], "frames": [], "bits": []}

    def note(self, image: ImageFile, name: str, *, is_deep: bool) -> None:
        """Look at a picture that is decoded, of which ``is_deep`` says whether its channels had 16 bits."""
        if is_deep:
            self._names["bits"].append(name)
        if _is_transparent(image):
            self._names["transparency"].append(name)
        if image.format not in ("JPEG", "MPO") and getattr(image, "is_animated", False):
            self._names["frames"].append(name)

    def lines(self) -> list[str]:
        """Return one line for each kind of what was dropped."""
        words = {
            "transparency": "transparent parts, taken as if they were not",
            "frames": "several frames or pages, of which the first is taken",
            "bits": "16 bits a channel, of which the first 8 are taken",
        }
        return [
            f"{len(names):,} {'picture has' if len(names) == 1 else 'pictures have'} {words[what]}, such as {names[0]}"
            for what, names in self._names.items()
            if names
        ]


def _is_transparent(image: ImageFile) -> bool:
    if image.mode in ("RGBA", "LA", "PA"):
        return int(np.asarray(image.getchannel("A")).min()) < 255
    return "transparency" in image.info
