"""What must be known of all pictures before any is decoded: which they are by content, and what their headers say.

Every file is read once. What was found is kept on this machine, by path, size and time of change, so that the next
start asks the file system only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np

from ..core.identity import digest
from ..core.whole_file import whole_file
from ._images import Header, header_of
from ._pillow import opened, pillow
from .cache_folder import cache_folder
from .encoded import Encoded, digest_of
from .loading import Loader

_KNOWN = np.dtype([("stamp", "V16"), ("digest", "V16"), ("mode", "S8"), ("height", "u4"), ("width", "u4")])
_AT_ONCE = 256
_WORTH_PROCESSES = 4096  # pictures to read: processes take a second to start


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of pictures.

    Attributes:
        encoded: The pictures.
        known: (n,), a record each.
        problem: Why it could not be kept for the next start; "" if it could.
    """

    encoded: Encoded
    known: np.ndarray
    problem: str = ""

    @property
    def digests(self) -> np.ndarray:
        """(n, 16) uint8, of the content of the files."""
        return np.ascontiguousarray(self.known["digest"]).view(np.uint8).reshape(-1, 16)

    def headers(self) -> Iterator[Header]:
        """Return an iterator over the headers; those that are not known are read when they are asked for.

        Yields:
            A header.

        Raises:
            InvalidInputError: A picture cannot be read.
        """
        with pillow():
            for i, row in enumerate(self.known):
                if row["mode"]:
                    yield Header(row["mode"].decode(), int(row["height"]), int(row["width"]))
                else:
                    yield _header(self.encoded, i, self.encoded.read(i))


def survey(encoded: Encoded, *, has_headers: bool = True, workers: int = 0) -> Survey:
    """Return what is known of pictures, reading those that were not known or have changed.

    Args:
        encoded: The pictures.
        has_headers: Whether headers are read, too, which takes three times as long as to read and digest small files.
        workers: How many processes read them, if they are many.

    Raises:
        InvalidInputError: A picture cannot be read.
        NasSensError: A process ended.
    """
    path = cache_folder() / "known" / f"{digest(['pictures', encoded.place])}.npy" if encoded.place else None
    earlier = _read(path) if path is not None else np.zeros(0, dtype=_KNOWN)
    places = {bytes(stamp): i for i, stamp in enumerate(earlier["stamp"])}
    stamps = [encoded.stamp(i) for i in range(len(encoded))] if places else []
    found = np.array([places.get(stamp, -1) for stamp in stamps] or np.full(len(encoded), -1), dtype=np.int64)
    known = np.zeros(len(encoded), dtype=_KNOWN)
    known[found >= 0] = earlier[found[found >= 0]]
    if has_headers:
        found[known["mode"] == b""] = -1
    unknown = np.flatnonzero(found < 0)
    jobs = np.split(unknown, range(_AT_ONCE, len(unknown), _AT_ONCE))
    loader = Loader(
        partial(_look, encoded, has_headers=has_headers), workers=workers if len(unknown) >= _WORTH_PROCESSES else 0
    )
    for rows, records in zip(jobs, loader.batches(jobs), strict=True):
        known[rows] = records
    if path is None or np.array_equal(known, earlier):
        return Survey(encoded, known)
    return Survey(encoded, known, _write(path, known))


def _look(encoded: Encoded, rows: np.ndarray, *, has_headers: bool) -> np.ndarray:
    """Return what is known of some pictures once they are read."""
    known = np.zeros(len(rows), dtype=_KNOWN)
    with pillow():
        for place, i in enumerate(rows.tolist()):
            stamp, content = encoded.stamp(i), encoded.read(i)
            header = _header(encoded, i, content) if has_headers else Header("", 0, 0)
            known[place] = (stamp, digest_of(content), header.mode.encode(), header.height, header.width)
    return known


def _header(encoded: Encoded, i: int, content: bytes) -> Header:
    with opened(BytesIO(content), encoded.name(i), encoded.source) as image:
        return header_of(image)


def _read(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # none yet, or damaged: read anew
        return np.zeros(0, dtype=_KNOWN)
    return found if found.dtype == _KNOWN and found.ndim == 1 else np.zeros(0, dtype=_KNOWN)


def _write(path: Path, known: np.ndarray) -> str:
    try:
        with whole_file(path) as file:
            np.save(file, known)
    except OSError as error:
        return f"what was read of them cannot be kept in {path.parent} ({error.strerror}): every start reads all again"
    return ""
