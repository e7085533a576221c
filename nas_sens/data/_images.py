"""Pictures as one array: grey if all are, colour otherwise, upright, of one size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.errors import InvalidInputError
from ._pillow import File, opened, pillow, upright, upright_size
from .bounds import check_size
from .resizing import pixels_of

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_GREY = ("L", "1", "LA")
_DEEP = ("I", "F")
_MAX_SIDE = 10**6


class Header(NamedTuple):
    """What a picture's header says: its mode, and its size as a viewer shows it."""

    mode: str
    height: int
    width: int


@dataclass(frozen=True)
class Form:
    """What all pictures of a set become.

    Attributes:
        is_grey: Whether they have one channel; three otherwise.
        height: In pixels.
        width: In pixels.
        mode: Pillow's mode that every picture is brought to first; None for its own.
        is_resized: Whether pictures of other sizes are resized, or refused.
    """

    is_grey: bool
    height: int
    width: int
    mode: str | None = None
    is_resized: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return (1 if self.is_grey else 3, self.height, self.width)

    @property
    def n_bytes(self) -> int:
        """Bytes of one picture of 8 bits a channel."""
        return math.prod(self.shape)


def stack_images(
    files: Sequence[Callable[[], File]], names: Sequence[str], form: Form, *, source: str
) -> tuple[np.ndarray, list[str]]:
    """Return pictures as uint8 (n, channels, height, width), one decoded at a time, and what was dropped of them.

    Pictures are turned as their EXIF says; transparency is dropped, and so is all but the first picture of a file.

    Args:
        files: One function per picture that returns its path or its content.
        names: What to call each picture in a message.
        form: What they become; see :func:`form_of`.
        source: The data set's name, for error messages.

    Raises:
        InvalidInputError: A picture cannot be read or is too large.
    """
    channels, height, width = form.shape
    pixels = np.empty((len(files), height, width, channels), dtype=np.uint8)
    dropped = _Dropped()
    with pillow():
        for i, (file, name) in enumerate(zip(files, names, strict=True)):
            with opened(file(), name, source) as image:
                is_deep = ";16" in str(image.tile[:1])
                pixels[i] = decoded(image, form, name, names[0], source)
                dropped.note(image, name, is_deep=is_deep)
    return pixels.transpose(0, 3, 1, 2), dropped.lines()


def decoded(image: ImageFile, form: Form, name: str, first: str, source: str) -> np.ndarray:
    """Return an opened picture as uint8 (height, width, channels).

    Args:
        image: The picture.
        form: What it becomes.
        name: What to call it in a message.
        first: The picture whose size all must have.
        source: The data set's name.

    Raises:
        InvalidInputError: It has another size than all must have, or more than 8 bits a channel.
    """  # noqa: DOC501 - `_other_size` makes the error
    _check_depth(form.mode or image.mode, name, source)
    turned = upright(image)
    if form.mode is not None:
        turned = turned.convert(form.mode)
    if turned.size != (form.width, form.height) and not form.is_resized:  # its EXIF lies behind the pixels
        raise _other_size(name, turned.size[::-1], first, (form.height, form.width), source)
    return pixels_of(turned, "L" if form.is_grey else "RGB", (form.height, form.width))


def _check_depth(mode: str, name: str, source: str) -> None:
    if mode.startswith(_DEEP):
        raise InvalidInputError(
            f"{source}: {name} has more than 8 bits a pixel (mode {mode}); convert it, or use npz:PATH"
        )


def header_of(image: ImageFile) -> Header:
    """Return what the header of an opened picture says, of which nothing is decoded."""
    return Header(image.mode, *upright_size(image))


def form_of(
    headers: Iterable[Header],
    names: Sequence[str],
    image_size: tuple[int, int] | None,
    *,
    source: str,
    mode: str | None = None,
    check: Callable[[int, str], None] = check_size,
    is_lazy: bool = False,
) -> Form:
    """Return what all pictures become, from their headers.

    Grey pictures have one channel if all are grey, otherwise every picture is made RGB.

    Args:
        headers: Of all pictures, read as they are asked for.
        names: What to call each picture in a message.
        image_size: Height and width to resize to, without regard to the aspect; None if all have one size.
        source: The data set's name, for error messages.
        mode: Pillow's mode to bring every picture to first; None for its own.
        check: Refuses a number of bytes, given what has it; the least that all need is known from the first header.
        is_lazy: Whether to look at no more headers than it takes; what the others say is told when they are decoded.

    Raises:
        InvalidInputError: A picture has more than 8 bits a channel, or another size than the first; or all together are
            too large.
    """  # noqa: DOC501 - `_other_size` makes the error
    if image_size is not None and max(image_size) > _MAX_SIDE:
        raise InvalidInputError(
            f"{source}: image_size must be at most {_MAX_SIDE:,} pixels; lower image_size in [data]"
        )
    is_grey = True
    size = image_size
    for i, (name, header) in enumerate(zip(names, headers, strict=False)):
        own_mode, own_size = mode or header.mode, (header.height, header.width)
        _check_depth(own_mode, name, source)
        is_grey = is_grey and own_mode in _GREY
        if size is None or i == 0:  # the least that all need, before the other headers are read
            size = size or own_size
            check(len(names) * size[0] * size[1] * 4, _what(len(names), *size, source))
        if image_size is None and own_size != size:
            raise _other_size(name, own_size, names[0], size, source)
        if is_lazy and image_size is not None and not is_grey:
            break
    assert size is not None
    form = Form(is_grey, *size, mode=mode, is_resized=image_size is not None)
    check(len(names) * form.n_bytes * 4, _what(len(names), *size, source))
    return form


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
