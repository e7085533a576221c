"""What a library raises on what a user gave is the user's to mend; what our own code raises is a fault of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nas_sens
from nas_sens.core.boundary import reading
from nas_sens.core.errors import InvalidInputError, StorageError

PACKAGE = Path(nas_sens.__file__).parent
OURS = ["{}['key']", "[][1]", "None.name", "int('x')", "1 / 0", "(_ for _ in ()).throw(ValueError('x'))"]


def run(code: str, folder: Path) -> Any:
    """Run code as if it stood in a file of a folder."""
    return eval(compile(code, str(folder / "made_up.py"), "eval"), {"json": json})


@pytest.mark.parametrize("code", OURS)
def test_what_our_own_code_raises_is_let_through(code: str) -> None:
    with pytest.raises(Exception) as error, reading("a.toml cannot be read"):  # noqa: PT011
        run(code, PACKAGE / "core")
    assert not isinstance(error.value, InvalidInputError)


@pytest.mark.parametrize("code", OURS)
def test_what_a_library_raises_is_told_in_our_words(code: str, tmp_path: Path) -> None:
    told = pytest.raises(InvalidInputError, match=r"^a\.toml cannot be read: .*; name another$")
    with told, reading("a.toml cannot be read", advice="name another"):
        run(code, tmp_path)


def test_a_library_that_our_code_calls_is_a_library() -> None:
    with (
        pytest.raises(StorageError, match="cannot be read: Expecting value"),
        reading("x cannot be read", kind=StorageError),
    ):
        run("json.loads('x')", PACKAGE)


def test_ours_shows_itself_as_a_fault_of_nas_sens(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "nas_sens", ignore=shutil.ignore_patterns("__pycache__"))
    reader = tmp_path / "nas_sens" / "core" / "toml_reader.py"
    text = reader.read_text(encoding="utf-8")
    block = 'with reading(f"cannot read {shown(str(path))}"):\n'
    assert block in text
    reader.write_text(text.replace(block, f"{block}        {{}}['key']\n"), encoding="utf-8")
    (tmp_path / "a.toml").write_text("name = 'a'")
    command = [sys.executable, "-m", "nas_sens", "score", "a.toml"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "this is a fault of nas_sens: KeyError: 'key'" in done.stderr.splitlines()[-1]
