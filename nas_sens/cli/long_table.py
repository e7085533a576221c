"""Tables of thousands of rows as lines of text; Rich measures and styles every cell, in a second for a thousand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len

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
    """Yield the lines of a table, which looks like one of Rich in its usual box.

    Args:
        names: Of the columns.
        rows: Their texts.
        title: Title; "" for none.
        is_right: Which columns are set to the right.
        is_wide: Which columns may be folded.
        width: Characters that fit beside each other.
    """
    widths = [max(map(_length, column)) for column in zip(names, *rows, strict=True)]
    excess = sum(widths) + 3 * len(widths) + 1 - width
    for i in sorted(range(len(widths)), key=lambda i: -widths[i]):
        if is_wide[i] and excess > 0:
            narrower = max(_NARROWEST, widths[i] - excess)
            excess -= max(0, widths[i] - narrower)
            widths[i] = min(widths[i], narrower)
    if title:
        yield from textwrap.wrap(title, max(_NARROWEST, width))
    yield _rule("┏┳┓", "━", widths)
    yield from _folded("┃", names, widths, is_right)
    yield _rule("┡╇┩", "━", widths)
    for row in rows:
        yield from _folded("│", row, widths, is_right)
    yield _rule("└┴┘", "─", widths)


def _rule(corners: str, line: str, widths: Sequence[int]) -> str:
    return corners[0] + corners[1].join(line * (width + 2) for width in widths) + corners[2]


def _folded(edge: str, cells: Sequence[str], widths: Sequence[int], is_right: Sequence[bool]) -> Iterator[str]:
    """Yield the lines of one row."""
    parts = [
        [cell] if _length(cell) <= width else textwrap.wrap(cell, width, break_on_hyphens=False)
        for cell, width in zip(cells, widths, strict=True)
    ]
    for i in range(max(map(len, parts))):
        texts = [lines[i] if i < len(lines) else "" for lines in parts]
        spaces = [" " * (width - _length(text)) for text, width in zip(texts, widths, strict=True)]
        set_ = [s + t if right else t + s for s, t, right in zip(spaces, texts, is_right, strict=True)]
        yield f"{edge} {f' {edge} '.join(set_)} {edge}"


def _length(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)
