"""Numbers as they are written in tables: with a decimal comma, with something between groups of three digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class NumberStyle:
    """How numbers are written.

    Attributes:
        decimal: Decimal point.
        thousands: What stands between groups of three digits; "" for nothing.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """Regular expression of a whole number or a decimal one, with an exponent perhaps."""
        d, t = re.escape(self.decimal), re.escape(self.thousands)
        plain = rf"\d+(?:{d}\d*)?|{d}\d+"
        grouped = rf"\d{{1,3}}(?:{t}\d{{3}})+(?:{d}\d*)?|" if t else ""
        return rf"\s*[+-]?(?:{grouped}{plain})(?:[eE][+-]?\d+)?\s*"

    def is_number(self, texts: pd.Series) -> pd.Series:
        """Return which texts are numbers, whole or decimal; infinity and NaN are none."""
        return texts.str.fullmatch(self.pattern).fillna(False).astype(bool)

    def numbers(self, texts: pd.Series) -> np.ndarray:
        """Return the numbers that texts are, float64."""
        if self.thousands:
            texts = texts.str.replace(self.thousands, "", regex=False)
        if self.decimal != ".":
            texts = texts.str.replace(self.decimal, ".", regex=False)
        return texts.to_numpy(dtype=object).astype(np.float64)


PLAIN = NumberStyle()


def without_signs(texts: pd.Series) -> pd.Series | None:
    """Return amounts without what stands beside the number, a currency, "%" or a unit; None if these differ.

    Amounts in brackets are negative, as in accounts. A letter before the number, as in codes ("A11"), is no unit.
    """
    bare = texts.str.strip().str.replace("\u2212", "-", regex=False)
    bare = bare.str.replace(r"^\((.*)\)$", r"-\1", regex=True)
    parts = bare.str.extract(r"^([+-]?)([$€£¥₹]|[A-Z]{3}\s)?\s*([+-]?[\d.,].*?)\s*([%‰$€£¥₹°\"]|\s[A-Za-zµ°/%]{1,8})?$")
    if parts[2].isna().any() or parts[1].fillna("").nunique() > 1 or parts[3].fillna("").nunique() > 1:
        return None
    found: pd.Series = parts[0].fillna("") + parts[2]
    return None if (found == texts).all() else found


def style_of(
    columns: Iterable[pd.Series],
    floats: Iterable[pd.Series] = (),
    *,
    sep: str,
    decimal: str | None,
    thousands: str | None,
) -> NumberStyle:
    """Return the style in which most values of columns of text are numbers, the plainest where several tie.

    Args:
        columns: Different values of every column of text.
        floats: Values of columns that are numbers with decimal points, which decide where others tie.
        sep: Separator of the fields: beside semicolons or tabs a comma is a decimal one in doubt, beside commas it
            stands between thousands.
        decimal: Decimal point, if it is known.
        thousands: What stands between thousands, if it is known.
    """
    columns, floats = list(columns), list(floats)
    commas = [NumberStyle(",", t) for t in ("", ".", " ", "\u00a0", "\u202f", "'")]
    points = [NumberStyle(".", t) for t in (",", " ", "\u00a0", "\u202f", "'", "\u2019")]
    known: Sequence[NumberStyle] = (PLAIN, *points, *commas) if sep == "," else (PLAIN, *commas, *points)
    if decimal is not None or thousands is not None:
        known = [NumberStyle(decimal or ".", thousands or "")]
    return max(known, key=lambda style: (_fitting(style, columns), _fitting(style, floats)))


def _fitting(style: NumberStyle, columns: Sequence[pd.Series]) -> int:
    return sum(int(style.is_number(values).sum()) for values in columns)
