"""What `make docs` types fails for broken links, anchors and references, with the settings of mkdocs.yml."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("mkdocs", reason="MkDocs is missing: pip install 'nas-sens[docs]'")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SETTINGS = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[fine](other.md#here)", ""),
        ("[gone](nowhere.md)", "nowhere.md"),
        ("[gone](other.md#nothing)", "#nothing"),
        ("[gone][no.such.reference]", "no.such.reference"),
        ("![gone](nowhere.svg)", "nowhere.svg"),
    ],
)
def test_what_is_broken_fails(text: str, problem: str, tmp_path: Path) -> None:
    (typed,) = re.findall(r"^\t\$\(MKDOCS\) \$\(BIN\)/python (-m mkdocs build .*)$", MAKEFILE, flags=re.MULTILINE)
    (validation,) = re.findall(r"^validation:\n(?:  .*\n)+", SETTINGS, flags=re.MULTILINE)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Test\n\n{text}\n", encoding="utf-8")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n## Here\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(f"site_name: test\nplugins: [autorefs]\n{validation}", encoding="utf-8")
    done = subprocess.run([sys.executable, *typed.split()], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == (1 if problem else 0), done.stderr
    assert problem in done.stderr
