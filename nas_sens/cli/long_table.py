"""Tables of thousands of rows as lines of text; Rich measures and styles every cell, in a second for a thousand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

GAP = "  "  # between columns
LONG = 500  # rows from which on tables are written in this way
_NARROWEST = 12  # of a column that may be folded


def long_table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str,
    is_right: Sequence[bool],
    is_wide: Sequence[bool],
    width: int,
) -> Iterator[str]:
    r"""Yield the lines of a table, which looks like one that Rich makes.

    Args:
        names: Of the columns; "\n" in one begins another line.
        rows: Their texts.
        title: Title; "" for none.
        is_right: Which columns are set to the right.
        is_wide: Which columns may be folded.
        width: Characters that fit beside each other.
    """
    heads = [max(map(_length, name.split("\n"))) for name in names]
    widths = [max(head, *map(_length, column)) for head, *column in zip(heads, *rows, strict=True)]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    for i in sorted(range(len(widths)), key=lambda i: -widths[i]):
        if is_wide[i] and excess > 0:
            narrower = max(_NARROWEST, widths[i] - excess)
            excess -= max(0, widths[i] - narrower)
            widths[i] = min(widths[i], narrower)
    if title:
        yield from textwrap.wrap(title, max(_NARROWEST, width))
    parts = [name.split("\n") for name in names]
    most = max(map(len, parts))
    yield from _lines([[""] * (most - len(lines)) + lines for lines in parts], widths, is_right)
    yield "─" * (sum(widths) + len(GAP) * (len(widths) - 1))
    for row in rows:
        yield from _folded(row, widths, is_right)


def _folded(cells: Sequence[str], widths: Sequence[int], is_right: Sequence[bool]) -> Iterator[str]:
    """Yield the lines of one row."""
    parts = [
        [cell] if _length(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)
        for cell, width in zip(cells, widths, strict=True)
    ]
    yield from _lines(parts, widths, is_right)


def _lines(parts: Sequence[Sequence[str]], widths: Sequence[int], is_right: Sequence[bool]) -> Iterator[str]:
    """Yield lines of cells that have several."""
    for i in range(max(map(len, parts))):
        texts = [lines[i] if i < len(lines) else "" for lines in parts]
        spaces = [" " * (width - _length(text)) for text, width in zip(texts, widths, strict=True)]
        set_ = [s + t if right else t + s for s, t, right in zip(spaces, texts, is_right, strict=True)]
        yield GAP.join(set_)


def _length(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
