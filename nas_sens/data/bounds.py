"""How large data may be: checked from headers and shapes, before memory is taken for what they announce."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from ..core.errors import InvalidInputError

VARIABLE = "NAS_SENS_MAX_DATA_GIB"
PICTURE_VARIABLE = "NAS_SENS_MAX_MEGAPIXELS"

_MEGAPIXELS = 128  # of one picture: half a GiB while it is decoded, and a file of a few hundred kB can hold them

_GIB = 2**30
_WHERE_UNKNOWN = 16 * _GIB  # of memory, on systems that do not say how much they have
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_size(n_bytes: int, what: str) -> None:
    """Refuse data that are larger in memory than is allowed.

    Args:
        n_bytes: What they take there once: to split them takes as much again for a moment.
        what: What is as large, for the message, such as "folder:photos: 900 pictures of 4000×6000 pixels".

    Raises:
        InvalidInputError: They are larger, or the environment variable that sets the limit holds no positive number.
    """
    if n_bytes > (limit := max_bytes()):
        raise InvalidInputError(
            f"{what}: takes {_gib(n_bytes)} in memory, more than the {_gib(limit)} that are allowed; give less data "
            f"(train_samples does not help, all are read first) or raise {VARIABLE}"
        )


def check_picture(width: int, height: int, what: str) -> None:
    """Refuse a picture of more pixels than one may have, by its header.

    Args:
        width: In pixels.
        height: In pixels.
        what: The picture, for the message.

    Raises:
        InvalidInputError: It has more, or the environment variable that sets the limit holds no positive number.
    """
    if width * height > (limit := (_given(PICTURE_VARIABLE, "of megapixels of one picture") or _MEGAPIXELS)) * 1e6:
        raise InvalidInputError(
            f"{what} has {height}×{width} pixels, more than the {limit:,g} megapixels that are allowed; scale it down, "
            f"remove it or raise {PICTURE_VARIABLE}"
        )


def max_bytes() -> float:
    """Return how many bytes data may take in memory: what the environment says in GiB, else half of the memory.

    Raises:
        InvalidInputError: The environment variable holds no positive number.
    """
    given = _given(VARIABLE, "of GiB that data may take in memory")
    return _memory() // 2 if given is None else given * _GIB


def max_decompressed(stored: int) -> float:
    """Return how many bytes a compressed file of ``stored`` bytes may decompress to.

    Data seldom shrink to a hundredth, a file that is made to fill the memory shrinks to a thousandth. Where the
    environment sets the limit of data, this is the limit.
    """
    if os.environ.get(VARIABLE, "").strip():
        return max_bytes()
    return min(max_bytes(), max(2**28, 100 * stored))


def _given(variable: str, what: str) -> float | None:
    """Return the number in an environment variable; None if it is unset or empty.

    Raises:
        InvalidInputError: It holds no positive number.
    """
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise InvalidInputError(
            f"the environment variable {variable} must be a positive number, {what}; "
            f"given {text[:80]!r}; correct or unset it"
        )
    return number


def _memory() -> int:
    """Return this machine's memory, or that of the container if it is less."""
    found = []
    with suppress(AttributeError, OSError, ValueError):  # no such function or name on this system
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            found.append(int(Path(path).read_text()))
    return min((n for n in found if n > 0), default=_WHERE_UNKNOWN)


def _gib(n_bytes: float) -> str:
    """Return a number of bytes as text in GiB, with three digits; of any size, also beyond what a float holds."""
    if n_bytes >= 10**6 * _GIB:
        return "more than a million GiB"
    gib = n_bytes / _GIB
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.3g} GiB"
