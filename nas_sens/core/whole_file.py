"""A file that is whole or not there, whatever happens while it is written."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, is_synced: bool = False) -> Iterator[BinaryIO]:
    """Open a file to write, which takes the place of ``path`` when the ``with`` block ends without an error.

    Its folder is made if needed.

    Args:
        path: The file that is meant.
        is_synced: Whether to wait until the disk has it: otherwise a power cut may leave its name without its content.

    Yields:
        The open file, in the same folder.

    Raises:
        OSError: It cannot be written; nothing is left of it.
        BaseException: What the block raises is let through; nothing is left of the file then, either.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with _opened(part) as file:
            yield file
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        remove_if_possible(part)
        raise


def remove_begun(path: Path) -> None:
    """Remove what processes that were killed had begun to write in place of a file."""
    for part in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        remove_if_possible(part)


def remove_if_possible(path: Path) -> None:
    """Remove a file, unless it is gone or on a disk that is read only."""
    with suppress(OSError):
        path.unlink()


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return path.open("wb")
    except FileNotFoundError:  # another process has just removed the folder, which was empty
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
