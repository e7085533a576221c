"""The one reader of CSV files: pandas', with one line for whatever it finds wrong."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import warnings
import zipfile
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .boundary import reading
from .errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}  # whatever the name says
_HEAD_BYTES = 2**18


def read_csv(
    path: str | Path, *, source: str, max_bytes: float = float("inf"), comment_lines: str | None = None, **options: Any
) -> pd.DataFrame:
    """Return a CSV file, plain or compressed (``.gz``, ``.bz2``, ``.xz``, ``.zip``), as a frame.

    Args:
        path: The file.
        source: How it is called in messages.
        max_bytes: How many bytes it may have once it is decompressed.
        comment_lines: Lines that begin with this are left out; elsewhere it means nothing.
        options: Of ``pandas.read_csv``.

    Raises:
        InvalidInputError: It cannot be read.
    """
    import pandas as pd  # takes half a second, and few commands need it

    with _reading(source), _opened(path, source) as file, warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that would be lost
        stream: Any = io.BufferedReader(_Bounded(file, max_bytes, source))
        if comment_lines:
            text = io.TextIOWrapper(stream, encoding=options.pop("encoding", "utf-8"), newline="")
            stream = io.StringIO("".join(line for line in text if not line.startswith(comment_lines)), newline="")
        try:
            return pd.read_csv(stream, **options)
        except pd.errors.EmptyDataError as error:
            raise InvalidInputError(
                f"{source}: a header line and at least one row are required; it is empty"
            ) from error


def head_of(path: str | Path, *, source: str) -> tuple[bytes, bool]:
    """Return the first bytes of a file, decompressed, and whether they are all of it.

    Raises:
        InvalidInputError: It cannot be read.
    """
    with _reading(source), _opened(path, source) as file:
        head = file.read(_HEAD_BYTES + 1)
    return head[:_HEAD_BYTES], len(head) <= _HEAD_BYTES


def _reading(source: str) -> AbstractContextManager[None]:
    return reading(f"{source}: cannot be read as a table of comma-separated values")


def _opened(path: str | Path, source: str) -> IO[bytes]:
    if "://" in str(path):
        raise InvalidInputError(f"{source}: only files can be read; download it first")
    path = Path(path).expanduser()
    with path.open("rb") as file:
        beginning = file.read(6)
    opener: Any = next((o for magic, o in _COMPRESSED.items() if beginning.startswith(magic)), None)
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zip": partial(_only_member, source=source)}.get(
        path.suffix.lower(), opener
    )
    return opener(path) if opener else path.open("rb")


def _only_member(path: Path, source: str) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")
             and not n.rpartition("/")[2].startswith(".")]  # fmt: skip
    if len(names) != 1:
        raise InvalidInputError(f"{source}: the archive must hold one file; it holds {len(names)}")
    return archive.open(names[0])


class _Bounded(io.RawIOBase):
    """A file that refuses to give more bytes than are allowed: some decompress to a thousand times their size."""

    def __init__(self, file: IO[bytes], most: float, source: str) -> None:
        self._file, self._most, self._source = file, most, source
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._given += len(data)
        if self._given > self._most:
            raise InvalidInputError(
                f"{self._source}: decompresses to more than the {self._most / 2**30:.3g} GiB that are allowed for a "
                "file of its size; decompress it yourself, or raise NAS_SENS_MAX_DATA_GIB"
            )
        buffer[: len(data)] = data
        return len(data)
