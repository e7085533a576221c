"""Architectures in tables: reading CSV files, and the names that families have for architectures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.csv_reader import read_csv
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
    # As text, short rows told from empty cells, which of pandas' parsers only the one in Python does.
    options: dict[str, Any] = {
        "header": None,
        "dtype": str,
        "keep_default_na": False,
        "skip_blank_lines": False,
        "engine": "python",
    }
    frame = read_csv(path, source=str(path), **options)
    header = [str(name) for name in frame.iloc[0]]
    body = frame.iloc[1:].dropna(how="all")  # blank lines
    if body.empty:
        raise InvalidInputError(f"{path}: a table needs a header line and at least one row; given 0 rows")
    if len(set(header)) < len(header):
        raise InvalidInputError(f"{path}: columns must differ in their names; given {', '.join(header)}")
    rows = []
    for i, cells in zip(body.index, body.itertuples(index=False, name=None), strict=True):
        if not all(isinstance(cell, str) for cell in cells):
            raise InvalidInputError(f"{path}, line {i + 1}: {len(header)} cells are required, as in the header")
        rows.append((i + 1, dict(zip(header, cells, strict=True))))
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
