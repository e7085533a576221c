"""How a CSV file is to be read, as declared in ``[data.csv]`` of a study."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StrictBool
from pydantic.dataclasses import dataclass as declared


# Not strict as a whole, so that it may be a table within [data]; strict where pydantic would take other types.
@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class CsvSpec:
    r"""How a CSV file is to be read, in the words of ``pandas.read_csv``; None, where it is to be told from the file.

    Args:
        sep: Separator, one character, or ``\s+`` for any number of blanks.
        encoding: Such as ``utf-8`` or ``cp1252``.
        header: Whether the first line names the columns.
        skiprows: Lines to leave out before the header line.
        comment: Character with which comments begin.
        decimal: Decimal point.
        thousands: What stands between groups of three digits.
        text: Columns of codes, whose digits are text: no zero before them is lost, and none is more than another.
    """

    sep: Annotated[str, Field(pattern=r"^([^\r\n]|\\s\+)$")] | None = None
    encoding: str | None = None
    header: StrictBool | None = None
    skiprows: Annotated[int, Field(ge=0, strict=True)] | None = None
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    text: Annotated[tuple[str, ...], Field(strict=False)] = ()
