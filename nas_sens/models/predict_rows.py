"""Rows of a table as inputs: features by the names that training gave them, from columns of the same names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.declarations import nearest, validate
from ..core.errors import InvalidInputError
from ..data._columns import understand
from ..data._numbers import NumberStyle
from ..data.csv import read_frame
from ..data.csv_spec import CsvSpec
from ..data.samples import LoadOptions

if TYPE_CHECKING:
    import pandas as pd

_RARE = re.compile(r"one of \d+ rare values")


def rows_of_table(path: str, found: Mapping[str, Any]) -> np.ndarray:
    """Return the features of a CSV file's rows, float64 (n, features), before they are standardised.

    Further columns, such as the target, are not looked at.

    Args:
        path: The file.
        found: Where the network comes from, as its ``config.json`` says: ``feature_names``, and the study's ``data``.

    Raises:
        InvalidInputError: The file cannot be read, or a column is missing or is not what it was in training.
    """
    data = found.get("study", {}).get("data", {})
    spec = validate(CsvSpec, data["csv"], source="config.json", where="data.csv") if data.get("csv") else None
    frame, style, _, _ = read_frame(LoadOptions(argument=path, csv=spec))
    return features_of(frame, list(found["feature_names"]), style, source=path)


def features_of(frame: pd.DataFrame, names: Sequence[str], style: NumberStyle, *, source: str) -> np.ndarray:
    """Return the features of a table's rows, float64 (n, features).

    Args:
        frame: The table.
        names: The features: a column that holds numbers, or ``COLUMN=VALUE`` for 1 where a column has a value.
        style: How numbers are written in it.
        source: The file, for messages.

    Raises:
        InvalidInputError: A column is missing, or holds no number where it must.
    """
    columns = [str(c) for c in frame.columns]
    values: dict[str, list[str]] = {}  # of columns of text, those that training knew
    for name in names:
        if name not in columns and (column := _column_of(name, columns)) is not None:
            values.setdefault(column, []).append(name[len(column) + 1 :])
    x = np.empty((len(frame), len(names)), dtype=np.float64)
    for i, name in enumerate(names):
        if name in columns:
            x[:, i] = _numbers(frame[name], name, style, source)
            continue
        column = _column_of(name, columns)
        if column is None:
            raise InvalidInputError(
                f"{source}: needs the column {name.partition('=')[0]!r}, which the network was trained with; "
                f"{nearest(name.partition('=')[0], columns)}"
            )
        texts, value = frame[column].astype(str).str.strip(), name[len(column) + 1 :]
        x[:, i] = ~texts.isin(values[column]) if _RARE.fullmatch(value) else texts == value
    return x


def _column_of(name: str, columns: Sequence[str]) -> str | None:
    """Return the column that a feature ``COLUMN=VALUE`` is of, the longest if several could be; None if it is none."""
    return max((c for c in columns if name.startswith(f"{c}=")), key=len, default=None)


def _numbers(column: pd.Series, name: str, style: NumberStyle, source: str) -> np.ndarray:
    found = understand(column, name, style=style)
    numbers = found.numbers
    if numbers is None or not np.isfinite(np.asarray(numbers, dtype=np.float64)).all():
        raise InvalidInputError(
            f"{source}: the column {name!r} must hold a number in every row, as in training; clean or impute it first"
        )
    return np.asarray(numbers, dtype=np.float64)
