"""Attributes that somebody altered: a line that names the trial, or what is left without them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.fuzz import command_lines


@pytest.mark.parametrize(
    ("key", "value", "command", "text"),
    [
        ("params", "-1", ["report", "study"], "params of trial 0 must be a number of at most 300 digits, 0 or more"),
        (
            "log10_sensitivity",
            "1" + "0" * 400,
            ["search", "study.toml", "-q"],
            "must be a number of at most 300 digits",
        ),
        ("val_error", "null", ["replay", "study", "--budgets", "1"], "error: "),
        ("nas_sens:uploads", "1e400", ["search", "study.toml", "-q"], "must be a list of identifiers"),
    ],
)
def test_is_told(key: str, value: str, command: list[str], text: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(command_lines.prepared(), folder)
    with contextlib.closing(sqlite3.connect(folder / "nas_sens.db")) as connection:
        changed = 0
        for table in ("trial_user_attributes", "trial_system_attributes"):
            changed += connection.execute(f"UPDATE {table} SET value_json = ? WHERE key = ?", (value, key)).rowcount
        connection.commit()
    assert changed
    code, _, err = command_lines.call(command, folder)
    assert code in (1, 2), err
    assert text in err.splitlines()[-1]
    assert "fault of nas_sens" not in err


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("UPDATE trials SET number = 'x' WHERE number = 1", "the number of a trial must be a whole number"),
        ("UPDATE trial_intermediate_values SET intermediate_value = ''", "a value of a trial must be a number"),
        ("UPDATE trial_intermediate_values SET step = 'x'", "a value of a trial must be a number"),
    ],
)
def test_a_column_of_numbers_that_holds_text_is_told(change: str, text: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    shutil.copytree(command_lines.prepared(), folder)
    with contextlib.closing(sqlite3.connect(folder / "nas_sens.db")) as connection:
        assert connection.execute(change).rowcount
        connection.commit()
    code, _, err = command_lines.call(["report", "study"], folder)
    assert code == 1
    assert text in err.splitlines()[-1]
