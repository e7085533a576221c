"""How a CSV file is written: encoding, separator, header line, comments; what pandas is told to read it by.

Separators are found by the sniffer of the standard library, which sees the first lines; every finding but the plainest
is a note that the user is told, and every one can be said instead (:class:`CsvSpec`).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool
from pydantic.dataclasses import dataclass as declared

from ..core.errors import InvalidInputError

SAMPLE_LINES = 200

_SEPARATORS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", r"\s+": "blanks"}
# Files of other kinds that bear the ending .csv, by what they begin with.
_OTHERS = {
    b"PK\x03\x04": "a zip or Excel file; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel file; save the sheet as CSV",
    b"PAR1": "a Parquet file; save it as CSV (pandas.read_parquet, DataFrame.to_csv)",
    b"\x89HDF": "an HDF5 file; save it as CSV",
    b"%PDF": "a PDF file; save the table as CSV",
    b"\x28\xb5\x2f\xfd": "compressed by zstandard; unpack it first",
}
_TEXTS = {"<": "an HTML or XML page", "{": "a JSON file", "[{": "a JSON file", "@relation": "an ARFF file"}
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?")


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
    """

    sep: Annotated[str, Field(pattern=r"^([^\r\n]|\\s\+)$")] | None = None
    encoding: str | None = None
    header: StrictBool | None = None
    skiprows: Annotated[int, Field(ge=0, strict=True)] | None = None
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What was found.

    Attributes:
        options: Arguments of ``pandas.read_csv``.
        notes: What the user is told.
    """

    options: dict[str, Any]
    notes: tuple[str, ...] = ()

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
    encoding = given.encoding or _encoding(head, is_whole, notes, source)
    lines = _lines(head, encoding, is_whole, source)
    skipped, named_sep = _preamble(lines, given, notes)
    body = [line for line in lines[skipped:] if line.strip()]
    if not body:
        raise InvalidInputError(f"{source}: a header line and at least one row are required; it is empty")
    comment = given.comment or _comment(body, notes)
    if comment:
        body = [line for line in body if not line.startswith(comment)]
    sep = given.sep or named_sep or _separator(body, target)
    if given.sep is None and named_sep is None and sep != ",":
        notes.append(f"fields are separated by {_NAMES.get(sep, repr(sep))}")
    rows = [_fields(line, sep) for line in _records(body)]
    has_header = _has_header(rows, target) if given.header is None else given.header
    options: dict[str, Any] = {
        "sep": sep,
        "encoding": encoding,
        "skiprows": skipped,
        "comment": comment,
        "skipinitialspace": True,
        "index_col": False,
    }
    if not has_header:
        options |= {"header": None, "names": [f"column_{i}" for i in range(1, len(rows[0]) + 1)]}
        notes.append(f"there is no header line, so the columns are called column_1 to column_{len(rows[0])}")
    _check_widths(rows, has_header, notes, source)
    return Dialect(options=options, notes=tuple(notes))


def _encoding(head: bytes, is_whole: bool, notes: list[str], source: str) -> str:
    for beginning, what in _OTHERS.items():
        if head.startswith(beginning):
            raise InvalidInputError(f"{source}: is no CSV file but {what}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        notes.append("the encoding is UTF-16")
        return "utf-16"
    for encoding, zero in (("utf-16-le", 1), ("utf-16-be", 0)):
        if len(head) > 3 and 0 not in (head[1 - zero], head[3 - zero]) and head[zero] == head[zero + 2] == 0:
            notes.append(f"the encoding is {encoding.upper()}")
            return encoding
    if b"\0" in head:
        raise InvalidInputError(f"{source}: is no text file, as it holds bytes of zero; save the table as CSV")
    return "utf-8-sig" if _is_utf8(head, is_whole) else _western(notes)


def _is_utf8(head: bytes, is_whole: bool) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:  # the last character may be cut in two
        return not is_whole and error.start >= len(head) - 3
    return True


def _western(notes: list[str]) -> str:
    # Every byte is a letter of Latin-1: values stay apart, even if another encoding was meant and they look odd.
    notes.append("the encoding is not UTF-8 and taken for Latin-1; if letters look wrong, say encoding in [data.csv]")
    return "latin-1"


def _lines(head: bytes, encoding: str, is_whole: bool, source: str) -> list[str]:
    try:
        text = head.decode(encoding, errors="strict" if is_whole else "ignore").lstrip("\ufeff")
    except (UnicodeError, LookupError) as error:
        raise InvalidInputError(
            f"{source}: cannot be read in the encoding {encoding!r} ({error}); save it as UTF-8, or say encoding in "
            "[data.csv]"
        ) from error
    for beginning, what in _TEXTS.items():
        if text.lstrip().lower().startswith(beginning):
            raise InvalidInputError(f"{source}: is no CSV file but {what}; save the table as CSV")
    lines = io.StringIO(text).read().splitlines()
    if not is_whole and len(lines) > 1:
        lines.pop()
    return lines[:SAMPLE_LINES]


def _preamble(lines: Sequence[str], given: CsvSpec, notes: list[str]) -> tuple[int, str | None]:
    """Return how many lines stand before the header line, and the separator if one of them names it (Excel's sep=)."""
    if given.skiprows is not None:
        return given.skiprows, None
    sep = None
    skipped = 0
    for line in lines:
        if found := re.fullmatch(r"sep=(.)", line.strip("\r\n\"'"), flags=re.IGNORECASE):
            sep = found.group(1)
            notes.append(f"the first line says that the separator is {sep!r}")
        elif line.strip() and not line.startswith(("#", "%", "//")):
            break
        skipped += 1
    comments = [line for line in lines[:skipped] if line.startswith(("#", "%", "//"))]
    if comments:
        notes.append(f"{len(comments)} lines of comment before the table are left out")
    return skipped, sep


def _comment(body: Sequence[str], notes: list[str]) -> str | None:
    """Return "#" if some lines of the table begin with it and it stands nowhere else, as in the name of a language."""
    is_comment = [line.startswith("#") for line in body]
    if not any(is_comment[1:]) or any("#" in line for line, is_one in zip(body, is_comment, strict=True) if not is_one):
        return None
    notes.append("lines that begin with # are left out as comments")
    return "#"


def _separator(body: Sequence[str], target: str | None) -> str:
    try:
        found = csv.Sniffer().sniff("\n".join(body), delimiters=_SEPARATORS).delimiter
    except csv.Error:
        widths = {len(line.split()) for line in body}
        found = r"\s+" if len(widths) == 1 and widths.pop() > 1 and not any("," in line for line in body) else ","
    if target is None or target in _fields(body[0], found):
        return found
    return next((sep for sep in (*_SEPARATORS, r"\s+") if target in _fields(body[0], sep)), found)


def _records(body: Sequence[str]) -> list[str]:
    """Return lines, without the last ones if a quotation begins there that ends below."""
    body = list(body)
    while len(body) > 1 and sum(line.count('"') for line in body) % 2:
        body.pop()
    return body


def _fields(line: str, sep: str) -> list[str]:
    if sep == r"\s+":
        return line.split()
    try:
        return [f.strip() for f in next(csv.reader([line], delimiter=sep[0], skipinitialspace=True), [])]
    except csv.Error:
        return [f.strip() for f in line.split(sep)]


def _has_header(rows: Sequence[Sequence[str]], target: str | None) -> bool:
    """Return whether the first line names the columns.

    It does if it holds the target's name, if no field of it is a number, or if its numbers count the columns (years,
    pixels).
    """
    first = rows[0]
    if target is not None and target in first:
        return True
    numbers = [f for f in first if _NUMBER.fullmatch(f)]
    if not numbers:
        return True
    counting = all(n.isdigit() for n in numbers) and [int(n) - int(numbers[0]) for n in numbers] == [
        *range(len(numbers))
    ]
    return counting and len(numbers) > 1 and len(rows) > 1 and list(rows[1]) != list(first)


def _check_widths(rows: Sequence[Sequence[str]], has_header: bool, notes: list[str], source: str) -> None:
    """Tell rows that end with a separator from rows with more fields than there are columns.

    Raises:
        InvalidInputError: Most rows have more fields, or all beyond the first are wider than it.
    """
    n = len(rows[0])
    longer = [row for row in rows[1:] if len(row) > n]
    if not longer:
        return
    if all(len(row) == n + 1 and row[-1] == "" for row in longer):
        notes.append("rows end with a separator, with nothing behind it")
        return
    if len(longer) < len(rows) - 1:
        return  # pandas says which line it is
    width = Counter(len(row) for row in longer).most_common(1)[0][0]
    first = "header line" if has_header else "first line"
    raise InvalidInputError(
        f"{source}: the rows have {width} fields, the {first} {n}; name every column in the header line (the first "
        "perhaps numbers the rows), or say skiprows in [data.csv] if lines stand before it"
    )
