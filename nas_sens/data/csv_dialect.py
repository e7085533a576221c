"""How a CSV file is written: encoding, separator, header line, comments; what pandas is told to read it by.

Separators are found by the sniffer of the standard library, which sees the first lines; every finding but the plainest
is a note that the user is told, and every one can be said instead (:class:`CsvSpec`).
"""

from __future__ import annotations

import csv
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
_SHEET_ERROR = re.compile(r"#[A-Z]+(/[A-Z0-9]+)?[!?]?\s*([,;\t|]|$)")
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
    encoding = given.encoding or _encoding(head, is_whole, notes, source)
    lines = _lines(head, encoding, is_whole, source)
    skipped, named_sep = _preamble(lines, given, notes)
    if target is not None and given.skiprows is None and given.header is not False and named_sep is None:
        skipped = _header_line(lines, skipped, given.sep, target, notes)
    body = [line for line in lines[skipped:] if line.strip()]
    if not body:
        raise InvalidInputError(f"{source}: a header line and at least one row are required; it is empty")
    comment = given.comment or _comment(body, notes)
    if comment:
        body = [line for line in body if not line.startswith(comment)]
    sep = given.sep or named_sep or _separator(body, target)
    if given.sep is None and named_sep is None and sep != ",":
        notes.append(f"fields are separated by {_NAMES.get(sep, repr(sep))}")
    rows = _rows(_records(body), sep)
    has_header = _has_header(rows, target) if given.header is None else given.header
    options: dict[str, Any] = {
        "sep": sep,
        "encoding": encoding,
        "skiprows": skipped,
        "comment": given.comment,
        "skipinitialspace": True,
    }
    if not has_header:
        options["header"] = None
        names = _commented_names(lines[:skipped], sep, len(rows[0]), target)
        notes.append("the columns are called as a line of comment says" if names else "there is no header line, so the "
                     f"columns are called column_1 to column_{len(rows[0])}")  # fmt: skip
        names = names or [f"column_{i}" for i in range(1, len(rows[0]) + 1)]
    else:
        options["header"] = 0
        names = None
    n_more = _more_fields(rows, has_header, notes, source)
    if names or n_more:
        options["names"] = [*(names or _apart(rows[0])), *(f"Unnamed: {len(rows[0]) + i}" for i in range(n_more))]
    return Dialect(
        options=options, comment=comment if given.comment is None else None, notes=tuple(notes),
        rows=tuple(rows[has_header:]), header=tuple(rows[0]) if has_header else (),
    )  # fmt: skip


def _encoding(head: bytes, is_whole: bool, notes: list[str], source: str) -> str:
    for beginning, what in _OTHERS.items():
        if head.startswith(beginning):
            raise InvalidInputError(f"{source}: is no CSV file but {what}")
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        notes.append("the encoding is UTF-32")
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        notes.append("the encoding is UTF-16")
        return "utf-16"
    for encoding, zero in (("utf-16-le", 1), ("utf-16-be", 0)):
        if len(head) > 3 and 0 not in (head[1 - zero], head[3 - zero]) and head[zero] == head[zero + 2] == 0:
            notes.append(f"the encoding is {encoding.upper()}")
            return encoding
    if b"\0" in head:
        raise InvalidInputError(f"{source}: is no text file, as it holds bytes of zero; save the table as CSV")
    return "utf-8-sig" if _is_utf8(head, is_whole) else _western(head, notes)


def _is_utf8(head: bytes, is_whole: bool) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:  # the last character may be cut in two
        return not is_whole and error.start >= len(head) - 3
    return True


def _western(head: bytes, notes: list[str]) -> str:
    if any(0x80 <= b < 0xA0 for b in head):  # no letters in Latin-1, but the euro and quotation marks on Windows
        try:
            head.decode("cp1252")
        except UnicodeDecodeError:
            pass
        else:
            notes.append("the encoding is not UTF-8 and taken for cp1252 (Windows); if letters look wrong, say "
                         "encoding in [data.csv]")  # fmt: skip
            return "cp1252"
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
    lines = re.split(r"\r\n|\r|\n", text)  # splitlines parts at other characters, too
    if len(lines) > 1 and (not is_whole or not lines[-1]):
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


def _header_line(lines: Sequence[str], skipped: int, sep: str | None, target: str, notes: list[str]) -> int:
    """Return how many lines stand before the one with the target's name, if all of these are shorter than it."""
    seps = (sep,) if sep else (*_SEPARATORS, r"\s+")
    for n, line in enumerate(lines[skipped:]):
        if sum(above.count('"') for above in lines[skipped : skipped + n]) % 2:
            return skipped  # within a quotation
        for s in seps:
            fields = _fields(line, s)
            if target not in fields or len(fields) < 2:
                continue
            before = [[f for f in _fields(above, s) if f] for above in lines[skipped : skipped + n] if above.strip()]
            if all(len(above) < len([f for f in fields if f]) for above in before):
                if before:
                    what = "1 line" if len(before) == 1 else f"{len(before)} lines"
                    notes.append(f"left out: {what} before the header line, which names {target!r}")
                return skipped + n
            return skipped
    return skipped


def _comment(body: Sequence[str], notes: list[str]) -> str | None:
    """Return "#" if some lines of the table begin with it, other than with an error of a spreadsheet such as #N/A."""
    is_comment = [line.startswith("#") for line in body]
    if not any(is_comment[1:]) or any(map(_SHEET_ERROR.match, body)):
        return None
    notes.append("lines that begin with # are left out as comments")
    return "#"


def _separator(body: Sequence[str], target: str | None) -> str:
    if {line.count("\t") for line in body} - {0} and len({line.count("\t") for line in body}) == 1:
        firsts = [line.split("\t")[0].split() for line in body]
        is_padded = all(len(f) > 1 and all(_NUMBER.fullmatch(v) or v == "?" for v in f) for f in firsts)
        return r"\s+" if is_padded else "\t"  # which is seldom found within text
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
        return [f[1:-1] if f[:1] == f[-1:] == '"' and len(f) > 1 else f for f in re.findall(r'"[^"]*"|\S+', line)]
    if len(sep) > 1:
        return [f.strip() for f in line.split(sep)]
    try:
        return [f.strip() for f in next(csv.reader([line], delimiter=sep[0], skipinitialspace=True), [])]
    except csv.Error:
        return [f.strip() for f in line.split(sep)]


def _rows(body: Sequence[str], sep: str) -> list[list[str]]:
    """Return the fields of lines, of which a quotation may hold several."""
    if len(sep) > 1:
        return [_fields(line, sep) for line in body]
    try:
        found = [[f.strip() for f in row] for row in
                 csv.reader([f"{line}\n" for line in body], delimiter=sep, skipinitialspace=True) if row]  # fmt: skip
    except csv.Error:  # a field beyond the limit
        return [_fields(line, sep) for line in body]
    return found or [_fields(body[0], sep)]


def _commented_names(comments: Sequence[str], sep: str, n: int, target: str | None) -> list[str] | None:
    """Return the names of columns in a line of comment above the table, as numpy.savetxt writes them, if any."""
    found = [_fields(line.lstrip("#%/ "), sep) for line in comments]
    return next((names for names in reversed(found) if len(names) == n and target in names), None)


def _apart(names: Sequence[str]) -> list[str]:
    """Return the names as pandas would make them: none empty, none twice."""
    filled = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    seen: Counter[str] = Counter()
    apart = []
    for name in filled:
        apart.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return apart


def _has_header(rows: Sequence[Sequence[str]], target: str | None) -> bool:
    """Return whether the first line names the columns.

    It does if it holds the target's name, and not if that is one of those given to columns without (``column_3``);
    else if no field of it is a number, or if its numbers count the columns (years, pixels).
    """
    first = rows[0]
    if target is not None and target in first:
        return True
    if target is not None and re.fullmatch(r"column_\d+", target):
        return False
    numbers = [f for f in first if _NUMBER.fullmatch(f)]
    if not numbers:
        return True
    counting = all(n.isdigit() for n in numbers) and [int(n) - int(numbers[0]) for n in numbers] == [
        *range(len(numbers))
    ]
    return counting and len(numbers) > 1 and len(rows) > 1 and list(rows[1]) != list(first)


def _more_fields(rows: Sequence[Sequence[str]], has_header: bool, notes: list[str], source: str) -> int:
    """Return 1 if rows end with a separator that the header line lacks, so that they have an empty field more; else 0.

    Raises:
        InvalidInputError: Rows have more fields than there are columns, or all have only one.
    """
    n = len(rows[0])
    first = "header line" if has_header else "first line"
    if n > 1 and len(rows) > 1 and all(len(row) == 1 for row in rows[1:]):
        raise InvalidInputError(
            f"{source}: the rows have 1 field, the {first} {n}; separate the fields of all lines by the same character"
        )
    longer = [i for i, row in enumerate(rows) if len(row) > n]
    if not longer:
        return 0
    if all(len(rows[i]) == n + 1 and rows[i][-1] == "" for i in longer):
        notes.append("rows end with a separator, with nothing behind it")
        return 1
    width = Counter(len(rows[i]) for i in longer).most_common(1)[0][0]
    if len(longer) < len(rows) - 1:
        if longer[0] + 1 == len(rows) and len(rows) > SAMPLE_LINES // 2:
            return 0  # perhaps cut
        raise InvalidInputError(
            f"{source}: cannot be read as a table: fields of the {first}: {n}, but row {longer[0] + (not has_header)} "
            f'has {len(rows[longer[0]])}; put text that holds the separator in ", or say sep in [data.csv]'
        )
    raise InvalidInputError(
        f"{source}: the rows have {width} fields, the {first} {n}; name every column in the header line (the first "
        "perhaps numbers the rows), or say skiprows in [data.csv] if lines stand before it"
    )
