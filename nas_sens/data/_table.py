"""Tables of named columns (pandas) as samples: what the target means, and how text becomes numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ..core.declarations import nearest
from ..core.errors import InvalidInputError
from ._columns import LIKE_IDENTIFIERS, MAX_TEXT_VALUES, Texts, Understood, is_like_missing, understand
from ._layout import needs_double
from ._numbers import PLAIN, NumberStyle
from .bounds import check_size
from .samples import Column, LoadOptions, Pair, Samples, Task, make_samples

if TYPE_CHECKING:
    import pandas as pd

MAX_INTEGER_CLASSES = 20


class UnusableTableError(InvalidInputError):
    """A table was read, but cannot be used as it is.

    Attributes:
        columns: What was understood of it.
    """

    def __init__(self, message: str, columns: Sequence[Column]) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


@dataclass(frozen=True, kw_only=True)
class EncodedTable:
    """Tables as arrays, in the order in which they were given: features (n, d) and labels or targets (n,).

    Features are float32, but float64 where that cannot tell the values of a column apart (times, identifiers).
    """

    parts: tuple[Pair, ...]
    task: Task
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]


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
        columns=table.columns,
        notes=table.notes,
    )


def encode_table(
    frames: Sequence[pd.DataFrame],
    options: LoadOptions,
    *,
    source: str,
    style: NumberStyle = PLAIN,
    text: Sequence[str] = (),
) -> EncodedTable:
    """Return tables with the same columns as arrays; the first is the training part, whose values text may have.

    Columns that hold nothing, that only number the rows, and those of ``options.drop`` are left out.

    Args:
        frames: The tables.
        options: The target, the task, and columns to leave out.
        source: The data set's name, for messages.
        style: How numbers are written in columns of text.
        text: Columns whose numbers are text.

    Raises:
        InvalidInputError: The target is missing, or parts have other columns.
        UnusableTableError: A column has gaps, no name, or text with too many values.
    """
    columns = [str(c) for c in frames[0].columns]
    for frame in frames:
        frame.columns = [str(c) for c in frame.columns]
        if list(frame.columns) != columns:
            raise InvalidInputError(
                f"{source}: all parts must have the same columns; given {_shown(columns)} and {_shown(frame.columns)}"
            )
    target = _target_column(columns, options.target, source)
    for name in options.drop:
        if name not in columns or name == target:
            raise InvalidInputError(
                f"{source}: drop in [data] must name columns beside the target; given {name!r}; "
                f"{nearest(name, columns)}"
            )
    if min(map(len, frames)) == 0:
        raise InvalidInputError(f"{source}: at least one row below the header is required")
    found = {c: understand(_of_all(frames, c), c, style=style, is_text=c in text) for c in columns}
    found = {c: _left_out(u, options.drop) if c != target else u for c, u in found.items()}
    task, labels, classes, target_notes = _target(found[target], options, len(frames[0]), source, found)
    found[target] = replace(found[target], column=_described(found[target].column, task))
    features = [c for c in columns if c != target and found[c].column.kind != "left out"]
    every = [u.column for u in found.values()]
    if not features:
        raise UnusableTableError(f"{source}: at least one column beside the target {target!r} is required", every)
    for c in features:
        _check_feature(found[c], source, every)
    x, names = _encoded([found[c] for c in features], sum(map(len, frames)), len(frames[0]), source)
    ends = list(accumulate(map(len, frames)))[:-1]
    parts = tuple(zip(np.split(x, ends), np.split(labels, ends), strict=True))
    is_told = {c: bool(u.column.note) for c, u in found.items()}
    if found[target].texts is not None or found[target].column.note == LIKE_IDENTIFIERS:
        is_told[target] = False  # notes on classes are told where classes are named, and a quantity may be any number
    notes = [f"column {u.column.name!r}: {u.column.note}" for c, u in found.items() if is_told[c]]
    return EncodedTable(
        parts=parts, task=task, class_names=tuple(classes), feature_names=tuple(names),
        columns=tuple(every), notes=(*target_notes, *_at_most(notes, 8)),
    )  # fmt: skip


def _of_all(frames: Sequence[pd.DataFrame], column: str) -> pd.Series:
    import pandas as pd

    if len(frames) == 1:
        return frames[0][column]
    return pd.concat([f[column] for f in frames], ignore_index=True)


def _at_most(notes: Sequence[str], n: int) -> list[str]:
    more = len(notes) - n
    return [*notes[:n], f"{more} more columns have notes: nas-sens data shows them"] if more > 0 else list(notes)


def _left_out(found: Understood, drop: Sequence[str]) -> Understood:
    """Return what is known of a feature, marked where it is left out."""
    column = found.column
    if column.name in drop:
        why = "left out, as drop says"
    elif column.values == 0:
        why = "left out, as it is empty"
    elif column.name.startswith("Unnamed: ") and found.numbers is not None and _numbers_rows(found.numbers):
        why = "left out, as it has no name and numbers the rows"
    else:
        return found
    return Understood(column=replace(column, kind="left out", features=0, note=why))


def _numbers_rows(numbers: np.ndarray) -> bool:
    return len(numbers) > 1 and bool((np.diff(numbers) == 1).all())


def _check_feature(found: Understood, source: str, every: Sequence[Column]) -> None:
    column = found.column
    way_out = f'or leave it out: drop = ["{column.name}"] in [data]'
    if column.name.startswith("Unnamed: "):
        raise UnusableTableError(
            f"{source}: column {[c.name for c in every].index(column.name) + 1} has no name, perhaps it numbers the "
            f'rows; name it in the header line, or leave it out: drop = ["{column.name}"] in [data]',
            every,
        )
    if found.problem:
        what = "encode it" if found.column.kind == "category" else "clean or impute the data first"
        raise UnusableTableError(f"{source}: the column {column.name!r} {found.problem}; {what}, {way_out}", every)
    if column.missing:
        raise UnusableTableError(
            f"{source}: the column {column.name!r} must have a value in every row, but {column.missing} are empty or "
            f"NaN; clean or impute the data first, {way_out}",
            every,
        )


def _target(
    found: Understood, options: LoadOptions, n_train: int, source: str, all_found: dict[str, Understood]
) -> tuple[Task, np.ndarray, list[str], list[str]]:
    """Return the task, labels (n,) or targets (n,), the classes' names, and what the user is told.

    Raises:
        InvalidInputError: It is text where ``options.task`` says regression.
        UnusableTableError: It has gaps, or too many values for classes.
    """
    name, column = found.column.name, found.column
    every = [u.column for u in all_found.values()]
    is_mixed = bool(found.problem) and column.kind in ("number", "date")
    n_empty = found.texts.missing if found.texts is not None else column.missing
    if n_empty:
        raise UnusableTableError(
            f"{source}: the column {name!r} must have a value in every row, but {n_empty} are empty or NaN; clean the "
            "data first, as it is the target",
            every,
        )
    if is_mixed and options.task != "classification":
        raise UnusableTableError(
            f'{source}: the target {name!r} {found.problem}; clean them, or set task = "classification" to take '
            "every value for a class",
            every,
        )
    task, note = _task(found, options)
    if task == "regression":
        if found.numbers is None or column.kind == "truth value":
            raise InvalidInputError(
                f"{source}: the target {name!r} must be a column of numbers for regression; given text or truth "
                'values; set task = "classification" or name another target'
            )
        return task, found.numbers.astype(np.float64), [], [note] if note else []
    codes, classes = _classes(found)
    if len(classes) > max(2, n_train // 2):
        raise UnusableTableError(
            f"{source}: the target {name!r} has {len(classes)} different values in {n_train} rows, too many "
            'for classes; name another target, or set task = "regression" for numbers',
            every,
        )
    strange = [c for c in classes if found.texts is not None and is_like_missing(c)]
    notes = [note] if note else []
    if strange:
        notes.append(f"target {name!r}: {', '.join(map(repr, strange))} is taken for a class like the others")
    return task, codes, classes, notes


def _task(found: Understood, options: LoadOptions) -> tuple[Task, str]:
    """Return what is to be learnt, and a note where the target's numbers could be either."""
    if options.task != "auto":
        return options.task, ""
    if found.numbers is None or found.column.kind == "truth value":
        return "classification", ""
    is_whole = found.column.kind == "number" and bool((found.numbers == np.round(found.numbers)).all())
    what = f"target {found.column.name!r}: {found.column.values} different whole numbers"
    if is_whole and found.column.values <= MAX_INTEGER_CLASSES:
        return "classification", f'{what} are taken for classes; task = "regression" in [data] predicts them as numbers'
    if is_whole:
        return "regression", (
            f'{what} are taken for a quantity to predict (task: regression); task = "classification" in [data] takes '
            "them for classes"
        )
    return "regression", ""


def _classes(found: Understood) -> tuple[np.ndarray, list[str]]:
    """Return labels (n,), and the classes' names in their order: of numbers by size, of text by alphabet."""
    if found.texts is not None:
        return found.texts.codes, list(found.texts.values)
    numbers, codes = np.unique(np.asarray(found.numbers), return_inverse=True)
    if found.column.kind == "truth value":
        return codes.reshape(-1).astype(np.int64), [str(bool(v)) for v in numbers]
    return codes.reshape(-1).astype(np.int64), [str(int(v)) if v == int(v) else str(v) for v in numbers.tolist()]


def _described(column: Column, task: Task) -> Column:
    return replace(column, kind="classes" if task == "classification" else "quantity", features=0)


def _encoded(features: Sequence[Understood], n: int, n_train: int, source: str) -> tuple[np.ndarray, list[str]]:
    """Return the features (n, d), filled column by column: the table is never copied as a whole; and their names."""
    is_fine = any(u.numbers is not None and _is_double(u.numbers) for u in features)
    dtype = np.dtype(np.float64 if is_fine else np.float32)
    n_columns = sum(u.column.features for u in features)
    check_size(n * n_columns * dtype.itemsize, f"{source}: {n:,} rows of {n_columns:,} features")
    x = np.zeros((n, n_columns), dtype=dtype)
    names: list[str] = []
    for u in features:
        if u.texts is None:
            x[:, len(names)] = u.numbers
            names.append(u.column.name)
            continue
        values, found = _one_hot(u.texts, n_train)
        x[:, len(names) : len(names) + len(found)] = values
        names += [f"{u.column.name}={v}" for v in found]
    return x[:, : len(names)], names


def _one_hot(texts: Texts, n_train: int) -> tuple[np.ndarray, list[str]]:
    """Return 0/1 features (n, k) of text, and the values they stand for, which are those of the training part.

    What the training part has not is none of them, or one of the rare ones if these share a feature.
    """
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(
        max_categories=MAX_TEXT_VALUES, handle_unknown="infrequent_if_exist", sparse_output=False, dtype=np.float32
    )
    codes = texts.codes[:, None]  # far faster than the encoder's own look at text
    encoder.fit(codes[:n_train])
    rare = encoder.infrequent_categories_[0]
    kept = [c for c in encoder.categories_[0] if rare is None or c not in rare]
    names = [str(texts.values[c]) for c in kept] + ([] if rare is None else [f"one of {len(rare)} rare values"])
    return encoder.transform(codes), names


def _is_double(numbers: np.ndarray) -> bool:
    return bool(needs_double(np.float64(np.min(numbers)), np.float64(np.max(numbers))))


def _target_column(columns: Sequence[str], target: str | None, source: str) -> str:
    if target is None:
        raise InvalidInputError(
            f"{source}: the column to predict is required, set target in [data]; columns: {_shown(columns)}"
        )
    if target not in columns:
        alike = [c for c in columns if c.strip().casefold() == target.strip().casefold()]
        near = f"did you mean {alike[0]!r}?" if alike else nearest(target, columns)
        hint = f"; {near}" if near.startswith("did") else ""
        raise InvalidInputError(f"{source}: has no column {target!r} to predict; columns: {_shown(columns)}{hint}")
    return target


def _shown(columns: Sequence[str]) -> str:
    names = [c if len(c) <= 40 else f"{c[:39]}…" for c in map(str, columns)]
    return ", ".join(names[:20]) + (f", … ({len(columns)} in all)" if len(columns) > 20 else "")
