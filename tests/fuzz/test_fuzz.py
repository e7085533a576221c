"""No input ends in anything but a result, or one line that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import command_lines, damaged_files, declarations
from tests.fuzz.contract import tally


def test_declarations(tmp_path: Path) -> None:
    found = tally(declarations.declared_files(), lambda content: declarations.run(content, tmp_path), n=400)
    assert not found.faults, found.text()


def test_command_lines() -> None:
    found = tally(command_lines.command_lines(), command_lines.run, n=40)
    assert not found.faults, found.text()


@pytest.mark.slow
def test_many_declarations(tmp_path: Path) -> None:
    found = tally(declarations.declared_files(), lambda c: declarations.run(c, tmp_path), n=40_000, start=100)
    assert not found.faults, found.text()


@pytest.mark.slow
def test_many_command_lines() -> None:
    found = tally(command_lines.command_lines(), command_lines.run, n=2_000, start=100)
    assert not found.faults, found.text()


@pytest.mark.slow
def test_damaged_databases() -> None:
    found = tally(damaged_files.damages(), damaged_files.run_database, n=2_000)
    assert not found.faults, found.text()


@pytest.mark.slow
def test_damaged_files() -> None:
    found = tally(damaged_files.damaged_bytes(), damaged_files.run_bytes, n=500)
    assert not found.faults, found.text()
