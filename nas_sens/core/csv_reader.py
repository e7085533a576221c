"""The one reader of CSV files: pandas', with one line for whatever it finds wrong."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .errors import InvalidInputError, first_line

if TYPE_CHECKING:
    import pandas as pd

# What the decompressors and pandas raise when a file is damaged; pandas' ParserError is a ValueError.
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,  # of zipfile: encrypted
    NotImplementedError,
    MemoryError,
    csv.Error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
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
    """  # noqa: DOC501 - `_refusal` makes the error
    import pandas as pd  # takes half a second, and few commands need it

    try:
        with _opened(path, source) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that would be lost
            stream: Any = io.BufferedReader(_Bounded(file, max_bytes, source))
            if comment_lines:
                text = io.TextIOWrapper(stream, encoding=options.pop("encoding", "utf-8"), newline="")
                stream = io.StringIO("".join(line for line in text if not line.startswith(comment_lines)), newline="")
            return pd.read_csv(stream, **options)
    except InvalidInputError:
        raise
    except pd.errors.EmptyDataError as error:
        raise InvalidInputError(f"{source}: a header line and at least one row are required; it is empty") from error
    except _UNREADABLE as error:
        raise _refusal(error, source) from error


def head_of(path: str | Path, *, source: str) -> tuple[bytes, bool]:
    """Return the first bytes of a file, decompressed, and whether they are all of it.

    Raises:
        InvalidInputError: It cannot be read.
    """  # noqa: DOC501 - `_refusal` makes the error
    try:
        with _opened(path, source) as file:
            head = file.read(_HEAD_BYTES + 1)
    except _UNREADABLE as error:
        if isinstance(error, InvalidInputError):
            raise
        raise _refusal(error, source) from error
    return head[:_HEAD_BYTES], len(head) <= _HEAD_BYTES


def _refusal(error: Exception, source: str) -> InvalidInputError:
    if isinstance(error, UnicodeDecodeError):
        reason = f"the text is not {error.encoding}; save it as UTF-8, or say its encoding"
    elif isinstance(error, MemoryError):
        reason = "it does not fit in memory"
    else:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return InvalidInputError(f"{source}: cannot be read as a table of comma-separated values: {reason}")


def _opened(path: str | Path, source: str) -> IO[bytes]:
    if "://" in str(path):
        raise InvalidInputError(f"{source}: only files can be read; download it first")
    path = Path(path).expanduser()
    with path.open("rb") as file:
        beginning = file.read(6)
    opener: Any = next((o for magic, o in _COMPRESSED.items() if beginning.startswith(magic)), None)
    opener = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zip": _only_member}.get(
        path.suffix.lower(), opener
    )
    return opener(path) if opener else path.open("rb")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")
             and not n.rpartition("/")[2].startswith(".")]  # fmt: skip
    if len(names) != 1:
        raise ValueError(f"the archive must hold one file; it holds {len(names)}")
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
