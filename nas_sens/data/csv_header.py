"""Which line of a CSV file names the columns, what stands before it, and whether the rows go with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ..core.errors import InvalidInputError
from .csv_fields import NUMBER, SEPARATORS, fields_of
from .csv_spec import CsvSpec
from .csv_text import SAMPLE_LINES

_SHEET_ERROR = re.compile(r"#[A-Z]+(/[A-Z0-9]+)?[!?]?\s*([,;\t|]|$)")


def preamble_of(lines: Sequence[str], given: CsvSpec, notes: list[str]) -> tuple[int, str | None]:
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
        notes.append(f"left out: {len(comments)} line{'s' * (len(comments) > 1)} of comment before the table")
    return skipped, sep


def header_line(lines: Sequence[str], skipped: int, sep: str | None, target: str, notes: list[str]) -> int:
    """Return how many lines stand before the one with the target's name, if all of these are shorter than it."""
    seps = (sep,) if sep else (*SEPARATORS, r"\s+")
    for n, line in enumerate(lines[skipped:]):
        if sum(above.count('"') for above in lines[skipped : skipped + n]) % 2:
            return skipped  # within a quotation
        for s in seps:
            fields = fields_of(line, s)
            if target not in fields or len(fields) < 2:
                continue
            before = [[f for f in fields_of(above, s) if f] for above in lines[skipped : skipped + n] if above.strip()]
            if all(len(above) < len([f for f in fields if f]) for above in before):
                if before:
                    what = "1 line" if len(before) == 1 else f"{len(before)} lines"
                    notes.append(f"left out: {what} before the header line, which names {target!r}")
                return skipped + n
            return skipped
    return skipped


def comment_in(body: Sequence[str], notes: list[str]) -> str | None:
    """Return "#" if some lines of the table begin with it, other than with an error of a spreadsheet such as #N/A."""
    is_comment = [line.startswith("#") for line in body]
    if not any(is_comment[1:]) or any(map(_SHEET_ERROR.match, body)):
        return None
    notes.append("lines that begin with # are left out as comments")
    return "#"


def commented_names(comments: Sequence[str], sep: str, n: int, target: str | None) -> list[str] | None:
    """Return the names of columns in a line of comment above the table, as numpy.savetxt writes them, if any."""
    found = [fields_of(line.lstrip("#%/ "), sep) for line in comments]
    return next((names for names in reversed(found) if len(names) == n and target in names), None)


def has_header_line(rows: Sequence[Sequence[str]], target: str | None) -> bool:
    """Return whether the first line names the columns.

    It does if it holds the target's name, and not if that is one of those given to columns without (``column_3``);
    else if no field of it is a number, or if its numbers count the columns (years, pixels).
    """
    first = rows[0]
    if target is not None and target in first:
        return True
    if target is not None and re.fullmatch(r"column_\d+", target):
        return False
    numbers = [f for f in first if NUMBER.fullmatch(f)]
    if not numbers:
        return True
    counting = all(n.isdigit() for n in numbers) and [int(n) - int(numbers[0]) for n in numbers] == [
        *range(len(numbers))
    ]
    return counting and len(numbers) > 1 and len(rows) > 1 and list(rows[1]) != list(first)


def more_fields(rows: Sequence[Sequence[str]], has_header: bool, notes: list[str], source: str) -> int:
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
