"""Tables of named columns (pandas) as samples: what the target means, and how text becomes numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import InvalidInputError
from .samples import LoadOptions, Pair, Samples, Task, make_samples

if TYPE_CHECKING:
    import pandas as pd

MAX_INTEGER_CLASSES = 20
MAX_TEXT_VALUES = 50


@dataclass(frozen=True, kw_only=True)
class EncodedTable:
    """Tables as arrays, in the order in which they were given: features float32 (n, d) and labels or targets (n,)."""

    parts: tuple[Pair, ...]
    task: Task
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]


def table_samples(table: EncodedTable, *, source: str, test: Pair | None = None, val: Pair | None = None) -> Samples:
    """Return the samples of an encoded table, the first part for training."""
    return make_samples(
        *table.parts[0],
        *(test or ()),
        val=val,
        source=source,
        task=table.task,
        class_names=table.class_names,
        feature_names=table.feature_names,
    )


def encode_table(frames: Sequence[pd.DataFrame], options: LoadOptions, *, source: str) -> EncodedTable:
    """Return tables with the same columns as arrays; the values of text are those of all tables together.

    Raises:
        InvalidInputError: The target is missing, or a column has gaps, no name, or text with too many values.
    """
    columns = [str(c) for c in frames[0].columns]
    for frame in frames:
        frame.columns = [str(c) for c in frame.columns]
        if list(frame.columns) != columns:
            raise InvalidInputError(
                f"{source}: all parts must have the same columns; given {_shown(columns)} and {_shown(frame.columns)}"
            )
    target = _target_column(columns, options.target, source)
    for column in columns:
        if column.startswith("Unnamed: "):
            raise InvalidInputError(
                f"{source}: column {columns.index(column) + 1} has no name, perhaps it numbers the rows; "
                "name it in the header line or remove it"
            )
        if n_gaps := sum(int(f[column].isna().sum()) for f in frames):
            raise InvalidInputError(
                f"{source}: the column {column!r} must have a value in every row, but {n_gaps} are empty or NaN; "
                "clean or impute the data first"
            )
    if not (features := [c for c in columns if c != target]):
        raise InvalidInputError(f"{source}: at least one column beside the target {target!r} is required")
    if min(map(len, frames)) == 0:
        raise InvalidInputError(f"{source}: at least one row below the header is required")
    encoded = [_encoding(frames, c, source) for c in features]
    names = [f"{c}={v}" if v else c for c, values in zip(features, encoded, strict=True) for v in values or [""]]
    inputs = [_inputs(frame, features, encoded) for frame in frames]
    task: Task = (
        options.task
        if options.task != "auto"
        else "classification"
        if is_classification(frames, target)
        else "regression"
    )
    if task == "regression":
        if not _is_numeric(frames[0][target]):
            raise InvalidInputError(
                f"{source}: the target {target!r} must be a column of numbers for regression; given text or truth "
                f'values; set task = "classification" or name another target'
            )
        targets = [f[target].to_numpy(dtype=np.float64) for f in frames]
        return _table(inputs, targets, task, (), names)
    classes = _distinct(frames, target)
    if len(classes) > max(2, len(frames[0]) // 2):
        raise InvalidInputError(
            f"{source}: the target {target!r} has {len(classes)} different values in {len(frames[0])} rows, too many "
            'for classes; name another target, or set task = "regression" for numbers'
        )
    place = {c: i for i, c in enumerate(classes)}
    return _table(
        inputs, [f[target].map(place).to_numpy(np.int64) for f in frames], task, [str(c) for c in classes], names
    )


def is_classification(frames: Sequence[pd.DataFrame], target: str) -> bool:
    """Return whether a target looks like classes: text, truth values, or at most 20 different whole numbers."""
    if not _is_numeric(frames[0][target]):
        return True
    values = np.unique(np.concatenate([f[target].to_numpy(dtype=np.float64) for f in frames]))
    return len(values) <= MAX_INTEGER_CLASSES and bool((values == np.round(values)).all())


def _table(
    inputs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    task: Task,
    classes: Sequence[str],
    names: Sequence[str],
) -> EncodedTable:
    parts = tuple(zip(inputs, targets, strict=True))
    return EncodedTable(parts=parts, task=task, class_names=tuple(classes), feature_names=tuple(names))


def _target_column(columns: Sequence[str], target: str | None, source: str) -> str:
    if target is None:
        raise InvalidInputError(
            f"{source}: the column to predict is required, set target in [data]; columns: {_shown(columns)}"
        )
    if target not in columns:
        raise InvalidInputError(f"{source}: has no column {target!r} to predict; columns: {_shown(columns)}")
    return target


def _shown(columns: Sequence[str]) -> str:
    return ", ".join(map(str, columns[:20])) + (f", … ({len(columns)} in all)" if len(columns) > 20 else "")


def _is_numeric(column: pd.Series) -> bool:
    return column.dtype.kind in "uif"


def _distinct(frames: Sequence[pd.DataFrame], column: str) -> list[object]:
    values = {v for f in frames for v in f[column].unique().tolist()}
    try:
        return sorted(values)
    except TypeError:  # a column that mixes numbers and text
        return sorted(values, key=str)


def _encoding(frames: Sequence[pd.DataFrame], column: str, source: str) -> list[object] | None:
    """Return the values that a column of text is split into; None for a column of numbers.

    Raises:
        InvalidInputError: The text has more than ``MAX_TEXT_VALUES`` different values.
    """
    if all(f[column].dtype.kind in "uifb" for f in frames):
        return None
    values = _distinct(frames, column)
    if len(values) > MAX_TEXT_VALUES:
        raise InvalidInputError(
            f"{source}: the column {column!r} must hold numbers, or text with at most {MAX_TEXT_VALUES} different "
            f"values to become 0/1 features; given {len(values)} such as {str(values[0])[:40]!r}; remove or encode it"
        )
    return values


def _inputs(frame: pd.DataFrame, features: Sequence[str], encoded: Sequence[list[object] | None]) -> np.ndarray:
    """Return the features (n, D), float32, filled column by column: the table is never copied as a whole."""
    x = np.empty((len(frame), sum(len(v) if v else 1 for v in encoded)), dtype=np.float32)
    i = 0
    for column, values in zip(features, encoded, strict=True):
        if values is None:
            x[:, i] = frame[column].to_numpy()
            i += 1
            continue
        for value in values:
            x[:, i] = (frame[column] == value).to_numpy()
            i += 1
    return x
