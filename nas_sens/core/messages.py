"""Messages that fit in a line: what is quoted in them is short, and so are they."""

from __future__ import annotations

import reprlib
from typing import Any

from .text import printable

LONGEST = 960  # characters of a message; with what stands before it there are at most 1,000
_VALUE = 160  # of a value that is quoted in one
_END = 300  # of a message that is too long: there it says what to do


class _Short(reprlib.Repr):
    """A ``repr`` that does not look into what is long or deep: numbers of 10,000 digits cannot even be printed."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 120
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 8
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:  # named by reprlib
        """Return a whole number, or how many bits it has."""
        return repr(x) if x.bit_length() < 400 else f"a number of {x.bit_length():,} bits"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Return a table in its own order: keys of several types have none."""
        if level <= 0 and x:
            return "{…}"
        pairs = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in list(x.items())[: self.maxdict]]
        return "{" + ", ".join([*pairs, *(["…"] if len(x) > self.maxdict else [])]) + "}"


def shown(value: Any) -> str:
    """Return a value as it is quoted in a message: its ``repr``, or where that is long, its beginning and its end."""
    return _cut(printable(_Short().repr(value)), _VALUE, _VALUE // 3)


def one_line(text: str) -> str:
    """Return a message in one line of at most 960 characters, none of which a terminal obeys."""
    return _cut(printable(text.strip()), LONGEST, _END)


def _cut(text: str, most: int, end: int) -> str:
    return text if len(text) <= most else f"{text[: most - end - 3]} … {text[-end:]}"
