"""What must be known of all pictures before any is decoded: which they are by content, and what their headers say.

Every file is read once. What was found is kept on this machine, by path, size and time of change, so that the next
start asks the file system only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from ..core.identity import digest
from ._images import Header, header_of
from ._pillow import opened, pillow
from .cache_folder import cache_folder
from .encoded import Encoded, digest_of

_KNOWN = np.dtype([("stamp", "V16"), ("digest", "V16"), ("mode", "S8"), ("height", "u4"), ("width", "u4")])
_THREADS = 8  # a disk answers several at once, and digests let others run
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of pictures.

    Attributes:
        known: (n,), a record each.
        problem: Why it could not be kept for the next start; "" if it could.
    """

    known: np.ndarray
    problem: str = ""

    @property
    def digests(self) -> np.ndarray:
        """(n, 16) uint8, of the content of the files."""
        return np.ascontiguousarray(self.known["digest"]).view(np.uint8).reshape(-1, 16)

    def headers(self) -> Iterator[Header]:
        """Return an iterator over the headers.

        Yields:
            A header.
        """
        for row in self.known:
            yield Header(row["mode"].decode(), int(row["height"]), int(row["width"]))


def survey(encoded: Encoded) -> Survey:
    """Return what is known of pictures, reading those that were not known or have changed.

    Raises:
        InvalidInputError: A picture cannot be read.
    """
    known = np.zeros(len(encoded), dtype=_KNOWN)
    path = cache_folder() / "known" / f"{digest(['pictures', encoded.place])}.npy" if encoded.place else None
    earlier = _read(path) if path is not None else known[:0]
    places = {bytes(stamp): i for i, stamp in enumerate(earlier["stamp"])}

    def look(start: int) -> None:
        for i in range(start, min(start + _AT_ONCE, len(known))):
            stamp = encoded.stamp(i)
            if (place := places.get(stamp)) is not None:
                known[i] = earlier[place]
                continue
            content = encoded.read(i)
            with opened(BytesIO(content), encoded.name(i), encoded.source) as image:
                header = header_of(image)
            known[i] = (stamp, digest_of(content), header.mode.encode(), header.height, header.width)

    threads = ThreadPoolExecutor(_THREADS)
    try:
        with pillow():
            for _ in threads.map(look, range(0, len(known), _AT_ONCE)):  # the first error of all, whoever is first
                pass
    finally:
        threads.shutdown(cancel_futures=True)
    if path is None or np.array_equal(known, earlier):
        return Survey(known)
    return Survey(known, _write(path, known))


def _read(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none yet, or damaged: read anew
        return np.zeros(0, dtype=_KNOWN)
    return found if found.dtype == _KNOWN and found.ndim == 1 else np.zeros(0, dtype=_KNOWN)


def _write(path: Path, known: np.ndarray) -> str:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            np.save(file, known)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        return f"what was read of them cannot be kept in {path.parent} ({error.strerror}): every start reads all again"
    return ""
