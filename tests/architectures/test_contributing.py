"""The worked example of CONTRIBUTING.md: a family in one file, in the package or in one of the user's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nas_sens

PACKAGE = Path(nas_sens.__file__).parent
CONTRIBUTING = PACKAGE.parent / "CONTRIBUTING.md"

USE = """
import sys
import torch
from nas_sens.architectures import count_params, families, load_spec
from nas_sens.scoring.probe import Probe
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.scoring.score import score
from nas_sens.study.search_space import SearchSpace

assert "maxout" in families(), list(families())
assert "timm" not in sys.modules, "to list families must not take the seconds that timm takes"
table = {"depth": {"type": "int", "low": 1, "high": 3}, "width": 6, "pieces": [2, 3]}
spec = SearchSpace(name="mine", families={"maxout": table, "fc": {"depth": 1, "width": 2}}).architecture(
    {"family": "maxout", "maxout.depth": 2, "maxout.pieces": 3}
)
assert load_spec(spec.to_json()) == spec
model = spec.build((1, 4, 4), 10, generator=torch.Generator().manual_seed(0))
assert count_params(model) == 16 * 18 + 18 + 6 * 18 + 18 + 6 * 10 + 10
result = score(spec, model, Probe(torch.rand(8, 1, 4, 4), ScoreSpec(), seed=0))
assert result.status == "ok", result
print(type(spec).__module__)
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), flags=re.DOTALL)


def run(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, folders))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=folders[0], capture_output=True, text=True)


def install(folder: Path, entry: str) -> None:
    """Write into ``folder`` what an installer makes of entry points."""
    metadata = folder / "mine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[nas_sens.families]\n{entry}\n")


@pytest.mark.skipif(not CONTRIBUTING.is_file(), reason="the installed package has no CONTRIBUTING.md")
class TestExample:
    def test_in_a_package_of_ones_own(self, tmp_path):
        (code,) = blocks("python")
        (declared,) = blocks("toml")
        header, entry = declared.strip().splitlines()
        assert header == '[project.entry-points."nas_sens.families"]'
        (tmp_path / "maxout.py").write_text(code, encoding="utf-8")
        install(tmp_path, entry.replace('"', ""))
        done = run(USE, tmp_path, PACKAGE.parent)
        assert (done.returncode, done.stdout) == (0, "maxout\n"), done.stderr

    def test_as_one_more_file_of_the_package(self, tmp_path):
        (code,) = blocks("python")
        shutil.copytree(PACKAGE, tmp_path / "nas_sens", ignore=shutil.ignore_patterns("__pycache__"))
        code = code.replace("from nas_sens.architectures.base import", "from .base import")
        (tmp_path / "nas_sens" / "architectures" / "maxout.py").write_text(code, encoding="utf-8")
        done = run(USE, tmp_path)
        assert (done.returncode, done.stdout) == (0, "nas_sens.architectures.maxout\n"), done.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mine = nowhere:Spec", "cannot be loaded (No module named 'nowhere'); repair or uninstall its package"),
        ("mine = json:dumps", "must name an ArchitectureSpec with a family"),
        ("mine = nas_sens.architectures.fc:FCSpec", "adds the architecture family 'fc', which exists already; rename"),
    ],
)
def test_wrong_entry_points_are_told_in_one_line(tmp_path, monkeypatch, entry, message):
    from nas_sens.architectures import FAMILIES
    from nas_sens.core.errors import InvalidInputError

    install(tmp_path, entry)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidInputError) as caught:
        FAMILIES.found()
    assert message in str(caught.value)
    assert "mine" in str(caught.value)
