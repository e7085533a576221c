"""Decoded pictures on disk: files of many pictures each, whole or not there, shared by all processes of a machine.

A file is known by the contents of its pictures and by what they became, so that the same pictures in another folder, or
in another study, are found again. It is read by ``pread``: mapped pages would count as this process's memory.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InvalidInputError
from ..core.whole_file import whole_file
from .cache_folder import SIZE_VARIABLE, VARIABLE, make_room

if sys.platform != "win32":  # where two processes may decode the same, and one of the equal files stays
    import fcntl

_CHUNK_BYTES = 2**24
_MOST_OPEN = 128  # of the files that a process may have open, often 1,024
_LOCKS = 64


class PixelCache:
    """The decoded pictures of one part of the data.

    Args:
        folder: Where they lie.
        digests: (n, 16) uint8, which pictures they are.
        form: Text that says what pictures become: size, channels, the library's version.
        n_bytes: Of one picture.
    """

    def __init__(self, folder: Path, digests: np.ndarray, form: str, n_bytes: int) -> None:
        self._folder, self.n_bytes = folder, n_bytes
        self.per_chunk = max(1, _CHUNK_BYTES // n_bytes)
        self._n = len(digests)
        self._names = [
            hashlib.blake2b(
                digests[start : start + self.per_chunk].tobytes() + form.encode(), digest_size=16
            ).hexdigest()
            for start in range(0, self._n, self.per_chunk)
        ]
        self._open: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()  # one thread reads ahead, and another may ask meanwhile

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it opens files itself."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_open", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin in another process."""
        self.__dict__.update(state, _open=OrderedDict(), _lock=threading.Lock())

    def rows_of(self, chunk: int) -> range:
        """Return which pictures are in a file."""
        return range(chunk * self.per_chunk, min(self._n, (chunk + 1) * self.per_chunk))

    def missing(self) -> list[int]:
        """Return the numbers of the files that are not there."""
        return [chunk for chunk in range(len(self._names)) if not self._is_there(chunk)]

    def has_room(self, chunks: Sequence[int]) -> bool:
        """Return whether files that are to be written fit below the bound, after room was made for them."""
        needed = sum(len(self.rows_of(chunk)) for chunk in chunks) * self.n_bytes
        return make_room(self._folder, needed, keep=frozenset(f"{name}.u8" for name in self._names))

    def write(self, chunk: int, decode: Callable[[int, np.ndarray], None]) -> None:
        """Write a file, unless another process has.

        Args:
            chunk: Its number.
            decode: Given the number of a picture, puts its bytes into an array.

        Raises:
            InvalidInputError: It cannot be written.
        """
        with self._told(), self._alone(chunk):
            if self._is_there(chunk):
                return
            rows = self.rows_of(chunk)
            pixels = np.empty((len(rows), self.n_bytes), dtype=np.uint8)
            for place, row in enumerate(rows):
                decode(row, pixels[place])
            with whole_file(self._path(chunk), is_synced=True) as file:
                file.write(pixels.data)

    def read(self, rows: np.ndarray, into: np.ndarray) -> np.ndarray:
        """Read pictures.

        Args:
            rows: Their numbers (k,).
            into: uint8 (k, n_bytes), in one piece.

        Returns:
            Places in ``rows`` of those that are not there.
        """
        chunks, places = np.divmod(rows, self.per_chunk)
        lost = []
        with self._lock:
            for i, (chunk, place) in enumerate(zip(chunks.tolist(), places.tolist(), strict=True)):
                file = self._file(chunk)
                # A system call a picture: a hundred of them cost less than decoding one.
                if file is None or _read_at(file, into[i], place * self.n_bytes) != self.n_bytes:
                    lost.append(i)
        return np.array(lost, dtype=np.int64)

    def _file(self, chunk: int) -> int | None:
        if (file := self._open.get(chunk)) is not None:
            self._open.move_to_end(chunk)
            return file
        if not self._is_there(chunk):
            return None
        try:
            file = os.open(path := self._path(chunk), os.O_RDONLY)
            with suppress(OSError):
                os.utime(path)  # what was used last goes last
        except OSError:
            return None
        self._open[chunk] = file
        if len(self._open) > _MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        return file

    def _is_there(self, chunk: int) -> bool:
        try:
            return self._path(chunk).stat().st_size == len(self.rows_of(chunk)) * self.n_bytes
        except OSError:
            return False

    def _path(self, chunk: int) -> Path:
        return self._folder / "pixels" / f"{self._names[chunk]}.u8"

    @contextmanager
    def _alone(self, chunk: int) -> Iterator[None]:
        """Return a context in which no other process writes this file."""
        self._path(chunk).parent.mkdir(parents=True, exist_ok=True)
        if sys.platform == "win32":
            yield
            return
        locks = self._folder / "locks"
        locks.mkdir(exist_ok=True)
        lock = os.open(locks / str(int(self._names[chunk][:8], 16) % _LOCKS), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Return a context in which a folder that cannot be written to is told of in one line.

        Raises:
            InvalidInputError: It cannot.
        """
        try:
            yield
        except OSError as error:
            raise InvalidInputError(
                f"decoded pictures cannot be kept in {self._folder} ({error.strerror}); make room there, set "
                f"{VARIABLE} to another folder, or {SIZE_VARIABLE} = 0 to decode them anew in every epoch"
            ) from error


def _read_at(file: int, into: np.ndarray, offset: int) -> int:
    """Return how many bytes were read into an array."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [into.data], offset)
    os.lseek(file, offset, os.SEEK_SET)
    content = os.read(file, into.nbytes)
    into[: len(content)] = np.frombuffer(content, dtype=np.uint8)
    return len(content)
