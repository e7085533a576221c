"""Tables of thousands of rows: as Rich writes them, without Rich."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from nas_sens.cli import display
from nas_sens.cli.display import show_rows
from nas_sens.cli.long_table import LONG


def rows(n):
    return [
        {
            "rank": i,
            "architecture": f"fc depth={i % 9} width={i * 37 % 4096}" + " init=he_normal dropout=0.125" * (i % 5),
            "val_error": None if i % 7 == 0 else i / n,
            "val_loss": i / 1000,
            "chosen_by": "größe" if i % 3 else "規則",
        }
        for i in range(n)
    ]


def printed(n, capsys):
    show_rows(rows(n), form="table", title="Trained candidates", wide=("architecture",))
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_a_long_table_looks_like_one_of_rich(width, capsys, monkeypatch):
    monkeypatch.setattr(display, "Console", lambda **_: Console(width=width))
    twin = printed(60, capsys)
    monkeypatch.setattr(display, "LONG", 1)
    assert printed(60, capsys) == twin
    assert max(map(len, twin)) <= width


def test_thousands_of_rows_go_past_rich(capsys, monkeypatch):
    added = []
    monkeypatch.setattr(Table, "add_row", lambda table, *cells: added.append(cells))
    assert len(printed(4 * LONG, capsys)) > 4 * LONG
    assert not added
    printed(5, capsys)
    assert len(added) == 5
