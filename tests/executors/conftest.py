"""What the tests of all engines begin with: a folder with a study, and what one process alone comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.executors.searches import declared, search_alone


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What one process alone comes to."""
    return search_alone(tmp_path_factory.mktemp("alone"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which a study is declared."""
    declared(tmp_path)
    return tmp_path
