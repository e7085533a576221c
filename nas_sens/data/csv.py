"""csv:PATH: a table of your own, however it is separated; target names the column to predict, classes or a quantity."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.csv_reader import head_of, read_csv
from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ._numbers import PLAIN, NumberStyle, style_of
from ._table import encode_table, table_samples
from .bounds import max_decompressed
from .csv_dialect import Dialect, dialect_of
from .csv_spec import CsvSpec
from .given_parts import given_in
from .samples import LoadOptions, Samples

if TYPE_CHECKING:
    import pandas as pd

ARGUMENT = "PATH"
OPTIONS = ("target", "drop", "csv", "split", "group", "weight")

_SEEN = 2000  # different values of a column that tell how its numbers are written


def load(options: LoadOptions) -> Samples:
    """Return the table's rows: every column but the target, and those that ``drop`` names, is a feature.

    Separator, encoding, header line and the way in which numbers are written are told from the file, or said in
    ``[data.csv]``; what was found is said. Numbers and truth values are taken as they are, dates as days since 1970; a
    column of text becomes one 0/1 feature for each of its values, at most 50, of which the last stands for all rare
    ones if there are more. An empty field is a missing value, and is refused. ``task = "auto"`` takes a target of text
    or truth values, or of at most 20 different whole numbers, for classes, and any other for a quantity.

    Raises:
        InvalidInputError: The file cannot be read, or a column cannot be used; the message names it.
    """
    source = f"csv:{options.argument}"
    given = options.csv or CsvSpec()
    frame, style, dialect, notes = read_frame(options)
    if unknown := [c for c in given.text if c not in frame.columns]:
        raise InvalidInputError(
            f"{source}: text in [data.csv] must name columns; given {unknown[0]!r}; "
            f"{nearest(unknown[0], frame.columns)}"
        )
    notes += _zero_notes(dialect, frame, given)
    named = given_in(frame, options.split, options, source)
    columns = [c for c in (options.split, options.group, options.weight) if c is not None]
    if options.target in columns:
        raise InvalidInputError(f"{source}: the target {options.target!r} cannot be split, group or weight, too")
    frame = frame.drop(columns=columns)
    rows = named.rows or {"train": np.arange(len(frame))}
    frames = [frame.iloc[members].reset_index(drop=True) for members in rows.values()]
    table = encode_table(frames, options, source=source, style=style, text=given.text)
    pairs = dict(zip(rows, table.parts, strict=True))
    samples = table_samples(table, source=source, test=pairs.get("test"), val=pairs.get("val")).with_notes(notes)
    of_train = named.of_train(len(frame))
    return replace(samples, groups=of_train[0], weights=of_train[1])


def read_frame(options: LoadOptions) -> tuple[pd.DataFrame, NumberStyle, Dialect, list[str]]:
    """Return a table as it is written, how its numbers and the file are, and what the user is told.

    Raises:
        InvalidInputError: The file cannot be read, or lacks the target.
    """
    source = f"csv:{options.argument}"
    given = options.csv or CsvSpec()
    head, is_whole = head_of(options.argument, source=source)
    dialect = dialect_of(head, given, target=options.target, is_whole=is_whole, source=source)
    if len(dialect.header) == 1 and options.target not in (None, *dialect.header):
        raise InvalidInputError(
            f"{source}: has no column {options.target!r}, but only one, {dialect.header[0][:80]!r}; if another "
            "character than , ; | or a tab separates the fields, say sep in [data.csv]"
        )
    frame = _read(options, dialect, source)
    style = _style(frame, dialect, given)
    notes = list(dialect.notes)
    if style != PLAIN:
        groups = f" and {style.thousands!r} between thousands" if style.thousands else ""
        notes.append(f"numbers are read with the decimal point {style.decimal!r}{groups}")
        frame = _read(options, dialect, source, dtype=str)
    if doubled := [c for c in frame.columns if c[-2:] == ".1" and c[:-2] in frame.columns]:
        notes.append(f"several columns are called {doubled[0][:-2]!r}; the second is {doubled[0]!r} here")
    if any(c.startswith(f"{options.target}.") and c not in options.drop for c in frame.columns) and (
        dialect.header.count(str(options.target)) > 1
    ):
        raise InvalidInputError(
            f"{source}: several columns are called {options.target!r}, the target; leave the others out: "
            f'drop = ["{options.target}.1"] in [data]'
        )
    is_empty = frame.isna().all(axis=1) if len(frame) and frame.iloc[:, 0].isna().any() else None
    if is_empty is not None and is_empty.any() and not is_empty.all():
        notes.append(f"{int(is_empty.sum()):,} rows without any value are left out")
        frame = frame[~is_empty].reset_index(drop=True)
    return frame, style, dialect, notes


def _read(options: LoadOptions, dialect: Dialect, source: str, **more: Any) -> pd.DataFrame:
    path = Path(options.argument).expanduser()
    # pandas reads separators of several characters in Python, which knows no low_memory
    if options.csv is not None and options.csv.text:
        more = {"dtype": dict.fromkeys(options.csv.text, str), **more}
    fast = {"engine": "python"} if len(dialect.sep) > 1 and dialect.sep != r"\s+" else {"low_memory": False}
    frame = read_csv(
        options.argument, source=source, max_bytes=max_decompressed(path.stat().st_size), **fast,
        keep_default_na=False, na_values=[""], index_col=False if "names" not in dialect.options else None,
        comment_lines=dialect.comment, **dialect.options, **more,
    )  # fmt: skip
    if dialect.header and len(frame.columns) > len(dialect.header) and frame.iloc[:, -1].isna().all():
        frame = frame.iloc[:, :-1]  # rows end with a separator
    frame.columns = [str(c).strip() for c in frame.columns]
    return frame


def _zero_notes(dialect: Dialect, frame: pd.DataFrame, given: CsvSpec) -> list[str]:
    """Return what is said of numbers with zeros before them, which perhaps are codes."""
    notes = []
    for i, name in enumerate(frame.columns):
        codes = [row[i] for row in dialect.rows if i < len(row) and re.fullmatch(r"0\d+", row[i])]
        if codes and name not in given.text and frame[name].dtype.kind in "if":
            notes.append(
                f"column {name!r}: {codes[0]!r} and the like are taken for numbers; if they are codes, set text = "
                f'["{name}"] in [data.csv]'
            )
    return notes


def _style(frame: pd.DataFrame, dialect: Dialect, given: CsvSpec) -> NumberStyle:
    import pandas as pd

    texts = [frame[c].dropna().astype(str).drop_duplicates()[:_SEEN] for c in frame if frame[c].dtype.kind == "O"]
    found = style_of(texts, sep=dialect.sep, decimal=given.decimal, thousands=given.thousands)
    if found == PLAIN or given.decimal is not None or given.thousands is not None:
        return found
    floats = [
        pd.Series([row[i] for row in dialect.rows if i < len(row) and row[i]], dtype=object).astype(str)
        for i, name in enumerate(frame.columns)
        if frame[name].dtype.kind == "f"
    ]
    return style_of(texts, floats, sep=dialect.sep, decimal=None, thousands=None)
