"""Where this machine keeps what was read of pictures, how much of it at most, and how it is removed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from ..core.errors import InvalidInputError

VARIABLE = "NAS_SENS_CACHE"
SIZE_VARIABLE = "NAS_SENS_MAX_CACHE_GIB"

_GIB = 2**30
_DEFAULT_GIB = 50.0
_LATELY = 3600.0  # seconds: parts of one study must not push each other out


def cache_folder() -> Path:
    """Return the folder, which may not be there yet: what the environment says, else one of this user's caches."""
    if given := os.environ.get(VARIABLE, "").strip():
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(base).expanduser() / "nas_sens"


def max_cache_bytes() -> float:
    """Return how many bytes the folder may hold; 0 keeps none.

    Raises:
        InvalidInputError: The environment variable holds no number from 0.
    """
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    try:
        number = float(text) if text else _DEFAULT_GIB
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise InvalidInputError(
            f"the environment variable {SIZE_VARIABLE} must be a number from 0, of GiB that decoded pictures may "
            f"take on disk; given {text[:80]!r}; correct or unset it"
        )
    return number * _GIB


def make_room(folder: Path, n_bytes: int, *, keep: frozenset[str] = frozenset()) -> bool:
    """Remove what was used longest ago until ``n_bytes`` more fit below the bound; what was used lately stays.

    Args:
        folder: The folder.
        n_bytes: What is to be written.
        keep: Names of files that stay.

    Returns:
        Whether they fit.
    """
    files = _files(folder)
    used, limit = sum(size for _, size, _ in files), max_cache_bytes()
    old = [file for file in files if file[2].name not in keep and time.time() - file[0] > _LATELY]
    if used - sum(size for _, size, _ in old) + n_bytes > limit:
        return False
    for _, size, path in sorted(old, key=lambda file: file[0]):
        if used + n_bytes <= limit:
            break
        with suppress(OSError):
            path.unlink()
            used -= size
    return used + n_bytes <= limit


def clear_cache() -> tuple[int, int]:
    """Remove all that is kept. Trainings that run read it anew from the pictures.

    Returns:
        How many files were removed, and their bytes.
    """
    n, total = 0, 0
    for _, size, path in _files(cache_folder()):
        with suppress(OSError):
            path.unlink()
            n, total = n + 1, total + size
    return n, total


def cache_use() -> tuple[int, int]:
    """Return how many files are kept, and their bytes."""
    files = _files(cache_folder())
    return len(files), sum(size for _, size, _ in files)


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each file of the cache was used last, its size, and its path; only what this package wrote."""
    found = []
    for below in ("pixels", "known"):
        with suppress(OSError), os.scandir(folder / below) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat()
                    found.append((status.st_mtime, status.st_size, Path(entry.path)))
    return found
