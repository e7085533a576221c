"""Terminal output of the command line: progress bars on stderr, tables on stdout."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.figures import ERRORS
from ..core.messages import one_line
from ..core.text import printable
from .live_stage import PlainStage, rich_stage
from .long_table import LONG, long_table


class TerminalProgress:
    """Progress as rich bars, or as plain lines where stderr is no terminal.

    Args:
        quiet: Whether to show nothing at all.
        verbose: Whether to show a line for every candidate that is scored or trained, too.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._is_verbose = verbose
        self._console = Console(stderr=True, quiet=quiet)
        self._is_plain = not self._console.is_terminal

    def message(self, text: str) -> None:
        """Show one line, whatever is in the text."""
        self.lines([one_line(text)])

    def lines(self, lines: Iterable[str]) -> None:
        """Show lines as they are, but for what a terminal would obey."""
        for line in lines:
            self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Show one line if the terminal is verbose."""
        if self._is_verbose:
            self.message(text)

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Any]:
        """Open a stage of ``total`` steps.

        Yields:
            The stage, which shows its steps and notes.
        """
        if self._is_plain:
            stage = PlainStage(self.message, name, total)
            yield stage
            stage.close()
            return
        with rich_stage(self._console, name, total) as drawn:
            yield drawn


def show_rows(
    rows: Iterable[dict[str, Any]],
    *,
    form: str,
    title: str = "",
    wide: Sequence[str] = (),
    right: Sequence[str] = (),
) -> None:
    """Print rows on stdout as a table, as JSON or as CSV.

    Args:
        rows: Column name to value; all rows have the same columns. As CSV each is printed when it comes.
        form: ``table``, ``json`` or ``csv``.
        title: Title of the table.
        wide: Columns that may be folded in a table; the others keep their width.
        right: Columns of texts that are numbers, such as ``128k``.
    """
    if form == "json":
        print_out(json.dumps(list(rows), indent=2))
    elif form == "csv":
        remaining = iter(rows)
        if (first := next(remaining, None)) is None:
            print_out("")
            return
        writer = csv.DictWriter(sys.stdout, fieldnames=list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(remaining)
    else:
        _show_table(list(rows), title, wide, right)


def _show_table(rows: Sequence[dict[str, Any]], title: str, wide: Sequence[str], right: Sequence[str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    names = list(rows[0]) if rows else []
    are_numbers = {
        name: name in right or all(isinstance(r[name], (int, float)) or r[name] is None for r in rows) for name in names
    }
    texts = [[cell(name, v) for name, v in row.items()] for row in rows]
    if len(rows) >= LONG:
        is_right, is_wide = [are_numbers[name] for name in names], [name in wide for name in names]
        lines = long_table(
            names, texts, title=printable(title), is_right=is_right, is_wide=is_wide, width=console.width
        )
        print_out("\n".join(lines))
        return
    table = Table(
        title=Text(printable(title)) if title else None,
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        show_edge=False,
    )
    for name in names:
        justify: Literal["left", "right"] = "right" if are_numbers[name] else "left"
        head = Text(name, justify=justify)
        table.add_column(head, justify=justify, no_wrap=name not in wide, overflow="fold", vertical="top")
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table, markup=False)


def print_out(text: str) -> None:
    """Print data on stdout."""
    sys.stdout.write(text + "\n")


def cell(name: str, value: Any) -> str:
    """Return a value of a column as it is printed in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if name in ERRORS:
            return f"{100 * value:.2f} %" if value < 10 else f"{100 * value:.4g} %"
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if name in ("params", "flops") else str(value)
    return printable(str(value))
