"""How large data may be: checked from headers and shapes, before memory is taken for what they announce."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from ..core.errors import InvalidInputError

VARIABLE = "NAS_SENS_MAX_DATA_GIB"
MAX_PICTURE_PIXELS = 2**27  # 11,585 squared; a decoder holds 4 bytes a pixel, half a GiB

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


def max_bytes() -> int | float:
    """Return how many bytes data may take in memory: what the environment says in GiB, else half of the memory.

    Raises:
        InvalidInputError: The environment variable holds no positive number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return _memory() // 2
    try:
        gib = float(text)
    except ValueError:
        gib = math.nan
    if not gib > 0:
        raise InvalidInputError(
            f"the environment variable {VARIABLE} must be a positive number, of GiB that data may take in memory; "
            f"given {text[:80]!r}; correct or unset it"
        )
    return gib * _GIB


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
