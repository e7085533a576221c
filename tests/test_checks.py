"""What checks the project itself: continuous integration, and the oldest versions, say what they should."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="the installed package has no .ci")


def test_continuous_integration_runs_what_contributors_are_told_to_run() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make lint", "make docs", "make test"]
    assert "set -euo pipefail" in lines


def test_every_dependency_has_its_oldest_version() -> None:
    command = [sys.executable, str(ROOT / ".ci" / "floors.py"), "dev", "postgresql", "mysql", "huggingface", "onnx"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines)
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "pytest", "psycopg2-binary", "pymysql", "datasets", "onnx"} <= names
    assert ("tomli" in names) == (sys.version_info < (3, 11))
