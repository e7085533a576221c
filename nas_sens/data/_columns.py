"""One column of a table: whether it holds numbers, dates or text, and what it becomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ._numbers import PLAIN, NumberStyle, without_signs
from .samples import Column, spelling_notes

if TYPE_CHECKING:
    import pandas as pd

MAX_TEXT_VALUES = 50
DAY = 86_400e6  # microseconds
LIKE_IDENTIFIERS = "a different whole number in every row, as identifiers are"

_MANY = 20
_MISSING = {"", "?", "-", "--", ".", "*", "na", "n/a", "n.a.", "nan", "null", "none", "nil", "missing", "unknown",
            "#n/a", "#nv", "#div/0!", "#value!", "#ref!"}  # fmt: skip
_DATE_FORMATS = ("ISO8601", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S")
_DAY_FIRST = ("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d-%m-%Y", "%d/%m/%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m-%d-%Y", "%m/%d/%y")


@dataclass(frozen=True, kw_only=True)
class Understood:
    """What a column holds.

    Attributes:
        column: Its description.
        numbers: Its values (n,), float64 or a smaller type, if they are numbers, truth values or dates; NaN where one
            is missing.
        texts: Its values otherwise.
        problem: Why it cannot be used; "" if it can.
    """

    column: Column
    numbers: np.ndarray | None = None
    texts: Texts | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A column of text: its different values once, in their order, and which of them every row has.

    Attributes:
        values: (k,), text.
        codes: (n,), places in ``values``; -1 where a value is missing.
    """

    values: pd.Series
    codes: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """How many rows have each value (k,)."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @property
    def missing(self) -> int:
        """How many rows have none."""
        return int((self.codes < 0).sum())

    def take(self, of_values: np.ndarray) -> np.ndarray:
        """Return numbers (n,) of the rows from those of the values (k,), NaN where a value is missing."""
        return np.append(of_values.astype(np.float64), np.nan)[self.codes]


def understand(column: pd.Series, name: str, *, style: NumberStyle = PLAIN, is_text: bool = False) -> Understood:
    """Return what a column holds, without regard to whether it is the target.

    Args:
        column: Its values.
        name: Its name.
        style: How numbers are written in it.
        is_text: Whether it is text, whatever it looks like.
    """
    if is_text:
        return _category(_texts_of(column), name)
    kind = column.dtype.kind if hasattr(column.dtype, "kind") else "O"
    if kind == "M":
        return _dates(column, name)
    if kind in "uifb":
        return _numeric(column.to_numpy(), name, "truth value" if kind == "b" else "number")
    texts = _texts_of(column)
    values = texts.values
    if len(values) and values.str.lower().isin(["true", "false"]).all():
        return _numeric(texts.take((values.str.lower() == "true").to_numpy()), name, "truth value")
    is_number = style.is_number(values).to_numpy()
    if len(values) and not is_number.all() and style != PLAIN and PLAIN.is_number(values).all():
        style, is_number = PLAIN, np.ones(len(values), dtype=bool)
    bare = without_signs(values) if len(values) and not is_number.any() else None
    if bare is not None and style.is_number(bare).all():
        found = _numeric(texts.take(style.numbers(bare)), name, "number")
        note = f"{str(values.iloc[0])[:40]!r} is read as the number {style.numbers(bare)[0]:g}, and so on"
        return replace(found, column=replace(found.column, note=note))
    if len(values) and is_number.all():
        return _numeric(texts.take(style.numbers(values)), name, "number")
    counts = texts.counts
    n_numbers = int(counts[is_number].sum())
    if 2 * n_numbers >= counts.sum() > 0 or (n_numbers and all(map(is_like_missing, values[~is_number]))):
        others = int(counts.sum()) - n_numbers
        described = Column(name=name, kind="number", features=1, values=len(values), missing=texts.missing + others)
        shown = counted(values[~is_number], counts[~is_number])
        return Understood(column=described, texts=texts, problem=f"must hold a number in every row, but {shown}")
    return _not_numbers(texts, name)


def _texts_of(column: pd.Series) -> Texts:
    """Return a column as text; what is empty or blank is missing."""
    import pandas as pd

    codes, values = pd.factorize(column, sort=False)
    order = np.argsort(texts := np.array([str(v) for v in values], dtype=object), kind="stable")
    place = np.empty(len(order) + 1, dtype=np.int64)
    place[order], place[-1] = np.arange(len(order)), -1
    ordered = pd.Series(texts[order], dtype=object)
    is_blank = (ordered.str.strip() == "").to_numpy(dtype=bool)
    kept = np.append(np.where(is_blank, -1, np.cumsum(~is_blank) - 1), -1)
    return Texts(values=ordered[~is_blank].reset_index(drop=True), codes=kept[place[codes]])


def _not_numbers(texts: Texts, name: str) -> Understood:
    values = texts.values
    if (dates := _as_dates(values)) is not None:
        import pandas as pd

        return _dates(pd.Series(np.append(dates.to_numpy(), np.datetime64("NaT"))[texts.codes]), name)
    if _is_ambiguous(values):
        column = Column(name=name, kind="date", features=1, values=len(values), missing=texts.missing)
        return Understood(
            column=column, texts=texts,
            problem=f"holds dates such as {str(values.iloc[0])!r}, of which it is not known whether the day or the "
            "month stands first",
        )  # fmt: skip
    return _category(texts, name)


def counted(values: Iterable[object], counts: Iterable[int]) -> str:
    """Return how often values occur, the three most frequent ones, such as "16 are '?'"."""
    pairs = sorted(zip(counts, map(str, values), strict=True), key=lambda pair: -pair[0])
    shown = [f"{n} {'are' if n > 1 else 'is'} {value[:40]!r}" for n, value in pairs[:3]]
    more = f" and {sum(n for n, _ in pairs[3:])} others are none" if len(pairs) > 3 else ""
    return ", ".join(shown) + more


def is_like_missing(value: object) -> bool:
    """Return whether a text is what people write where a value is missing."""
    return str(value).strip().lower() in _MISSING


def _numeric(numbers: np.ndarray, name: str, kind: str) -> Understood:
    import pandas as pd

    n_values = int(pd.Series(numbers).nunique())
    missing = int(np.isnan(numbers).sum()) if numbers.dtype.kind == "f" else 0
    column = Column(name=name, kind=kind, features=1, values=n_values, missing=missing)
    if numbers.dtype.kind == "f" and (infinite := int(np.isinf(numbers).sum())):
        return Understood(column=column, numbers=numbers, problem=f"must hold finite numbers, but {infinite} are not")
    is_whole = kind == "number" and n_values == len(numbers) >= _MANY and bool((numbers == np.round(numbers)).all())
    if is_whole:
        column = replace(column, note=LIKE_IDENTIFIERS)
    return Understood(column=column, numbers=numbers)


def _dates(values: pd.Series, name: str) -> Understood:
    import pandas as pd

    stamps = pd.to_datetime(values, utc=True)
    days = stamps.dt.as_unit("us").astype("int64").to_numpy() / DAY  # nanoseconds end in 2262
    days[stamps.isna().to_numpy()] = np.nan
    column = Column(
        name=name, kind="date", features=1, values=int(stamps.nunique()), missing=int(stamps.isna().sum()),
        note="taken as days since 1970",
    )  # fmt: skip
    return Understood(column=column, numbers=days)


def _as_dates(distinct: pd.Series) -> pd.Series | None:
    """Return texts as points in time, if all are; None if not, or if day and month may be taken for each other."""
    if not _looks_like_dates(distinct):
        return None
    day, month = ([found for f in formats if (found := _parsed(distinct, f)) is not None]
                  for formats in (_DAY_FIRST, _MONTH_FIRST))  # fmt: skip
    certain = [found for f in _DATE_FORMATS if (found := _parsed(distinct, f)) is not None]
    found = certain or (day + month if not (day and month) else [])
    return found[0] if found else None


def _is_ambiguous(distinct: pd.Series) -> bool:
    return _looks_like_dates(distinct) and any(_parsed(distinct, f) is not None for f in _DAY_FIRST)


def _looks_like_dates(distinct: pd.Series) -> bool:
    return len(distinct) > 0 and bool(distinct.str.match(r"\s*\d{1,4}[-./]\d{1,2}[-./]\d{1,4}").all())


def _parsed(distinct: pd.Series, form: str) -> pd.Series | None:
    import pandas as pd

    try:
        return pd.to_datetime(distinct, format=form, utc=True)
    except (ValueError, OverflowError):
        return None


def _category(texts: Texts, name: str) -> Understood:
    values, n = list(texts.values), len(texts.codes)
    notes = list(spelling_notes(values, "values"))
    if (strange := texts.values.map(is_like_missing).to_numpy(dtype=bool)).any():
        notes.append(f"{counted(texts.values[strange], texts.counts[strange])}, a value like the others")
    problem = ""
    if len(values) > MAX_TEXT_VALUES and 2 * len(values) > n:
        problem = (
            f"must hold numbers, or text whose values repeat to become 0/1 features; given {len(values)} different "
            f"values in {n} rows, such as {values[0][:40]!r}"
        )
    elif len(values) > MAX_TEXT_VALUES:
        notes.insert(0, f"the rarest of its {len(values)} values share one feature")
    column = Column(
        name=name, kind="category", features=min(len(values), MAX_TEXT_VALUES), values=len(values),
        missing=texts.missing, note="; ".join(notes),
    )  # fmt: skip
    return Understood(column=column, texts=texts, problem=problem)
