"""How a CSV file is written: encoding, separator, header line, comments; what pandas is told to read it by.

Separators are found by the sniffer of the standard library, which sees the first lines; every finding but the plainest
is a note that the user is told, and every one can be said instead (:class:`CsvSpec`).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import InvalidInputError
from .csv_fields import NUMBER, SEPARATORS, fields_of, rows_of, told_apart, whole_records
from .csv_header import comment_in, commented_names, has_header_line, header_line, more_fields, preamble_of
from .csv_spec import CsvSpec
from .csv_text import encoding_of, lines_of

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", r"\s+": "blanks"}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What was found.

    Attributes:
        options: Arguments of ``pandas.read_csv``.
        comment: What lines begin with that are left out; it may stand elsewhere, which pandas' own option forbids.
        notes: What the user is told.
        rows: Fields of the first rows.
        header: Fields of the header line; empty if there is none.
    """

    options: dict[str, Any]
    comment: str | None = None
    notes: tuple[str, ...] = ()
    rows: tuple[list[str], ...] = ()
    header: tuple[str, ...] = ()

    @property
    def sep(self) -> str:
        """Separator."""
        return str(self.options["sep"])


def dialect_of(head: bytes, given: CsvSpec, *, target: str | None, is_whole: bool, source: str) -> Dialect:
    """Return how a file is written.

    Args:
        head: Its first bytes.
        given: What was said of it.
        target: Column to predict: a line that holds its name is the header line.
        is_whole: Whether ``head`` is all of it.
        source: The data set's name, for error messages.

    Raises:
        InvalidInputError: It is no text, empty, or its rows have more fields than the header line.
    """
    notes: list[str] = []
    encoding = given.encoding or encoding_of(head, is_whole, notes, source)
    lines = lines_of(head, encoding, is_whole, source)
    skipped, named_sep = preamble_of(lines, given, notes)
    if target is not None and given.skiprows is None and given.header is not False and named_sep is None:
        skipped = header_line(lines, skipped, given.sep, target, notes)
    body = [line for line in lines[skipped:] if line.strip()]
    if not body:
        raise InvalidInputError(f"{source}: a header line and at least one row are required; it is empty")
    comment = given.comment or comment_in(body, notes)
    if comment:
        body = [line for line in body if not line.startswith(comment)]
    sep = given.sep or named_sep or _separator(body, target)
    if given.sep is None and named_sep is None and sep != ",":
        notes.append(f"fields are separated by {_NAMES.get(sep, repr(sep))}")
    rows = rows_of(whole_records(body), sep)
    has_header = has_header_line(rows, target) if given.header is None else given.header
    options: dict[str, Any] = {
        "sep": sep,
        "encoding": encoding,
        "skiprows": skipped,
        "comment": given.comment,
        "skipinitialspace": True,
    }
    if not has_header:
        options["header"] = None
        names = commented_names(lines[:skipped], sep, len(rows[0]), target)
        notes.append("the columns are called as a line of comment says" if names else "there is no header line, so the "
                     f"columns are called column_1 to column_{len(rows[0])}")  # fmt: skip
        names = names or [f"column_{i}" for i in range(1, len(rows[0]) + 1)]
    else:
        options["header"] = 0
        names = None
    n_more = more_fields(rows, has_header, notes, source)
    if names or n_more:
        options["names"] = [*(names or told_apart(rows[0])), *(f"Unnamed: {len(rows[0]) + i}" for i in range(n_more))]
    return Dialect(
        options=options, comment=comment if given.comment is None else None, notes=tuple(notes),
        rows=tuple(rows[has_header:]), header=tuple(rows[0]) if has_header else (),
    )  # fmt: skip


def _separator(body: Sequence[str], target: str | None) -> str:
    if {line.count("\t") for line in body} - {0} and len({line.count("\t") for line in body}) == 1:
        firsts = [line.split("\t")[0].split() for line in body]
        is_padded = all(len(f) > 1 and all(NUMBER.fullmatch(v) or v == "?" for v in f) for f in firsts)
        return r"\s+" if is_padded else "\t"  # which is seldom found within text
    try:
        found = csv.Sniffer().sniff("\n".join(body), delimiters=SEPARATORS).delimiter
    except csv.Error:
        widths = {len(line.split()) for line in body}
        found = r"\s+" if len(widths) == 1 and widths.pop() > 1 and not any("," in line for line in body) else ","
    if target is None or target in fields_of(body[0], found):
        return found
    return next((sep for sep in (*SEPARATORS, r"\s+") if target in fields_of(body[0], sep)), found)
