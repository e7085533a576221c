"""Architectures in tables: reading CSV files, and the names that families have for architectures."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import InvalidInputError
from ..core.identity import digest
from . import load_spec

KEYS = ("architecture", "arch")  # the columns that name the architectures if none is said to


def key_of(header: Sequence[str]) -> str:
    """Return the column that names the architectures."""
    return next((k for k in KEYS if k in header), KEYS[0])


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the header and the rows with the numbers of their lines.

    Raises:
        InvalidInputError: The file cannot be read, has no rows, two columns of one name, or a row of another length.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"cannot read the table {path}: {error}") from error
    if not rows:
        raise InvalidInputError(f"{path}: a table needs a header line and at least one row; given {len(rows)} rows")
    header = list(reader.fieldnames or [])
    if len(set(header)) < len(header):
        raise InvalidInputError(f"{path}: columns must differ in their names; given {', '.join(header)}")
    for line, row in rows:
        if None in row or None in row.values():
            raise InvalidInputError(f"{path}, line {line}: {len(header)} cells are required, as in the header")
    return header, rows


def identity_of(row: Mapping[str, str], key: str, where: str) -> tuple[str, str]:
    """Return digest and family of a row.

    Raises:
        InvalidInputError: The column ``architecture`` holds no spec; the message begins with ``where``.
    """
    if key != "architecture":
        return digest(row[key]), row.get("family", "")
    try:
        spec = load_spec(json.loads(row[key]))  # parsed here, since other text than JSON would name a folder
    except (json.JSONDecodeError, InvalidInputError) as error:
        raise InvalidInputError(f"{where}: {error}") from error
    return spec.digest, spec.family


def number_in(cell: str, column: str, where: str) -> float:
    """Return the number in a cell; NaN for an empty one.

    Raises:
        InvalidInputError: It is no number; the message begins with ``where``.
    """
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError as error:
        raise InvalidInputError(f"{where}: {column} must be a number; given {cell!r}") from error
