"""The text of a CSV file: its encoding, its first lines, and files of other kinds that bear its ending."""

from __future__ import annotations

import re

from ..core.errors import InvalidInputError

SAMPLE_LINES = 200

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


def encoding_of(head: bytes, is_whole: bool, notes: list[str], source: str) -> str:
    """Return the encoding of a file, by its first bytes; what is not UTF-8 is noted.

    Raises:
        InvalidInputError: It is no text.
    """
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


def lines_of(head: bytes, encoding: str, is_whole: bool, source: str) -> list[str]:
    """Return the first lines of a file.

    Raises:
        InvalidInputError: It is not in this encoding, or no table.
    """
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
