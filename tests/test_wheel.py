"""The built wheel holds all that the main job needs, and runs it without the source tree."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nas_sens

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_contains_declarations_types_and_templates(unpacked: Path) -> None:
    package = unpacked / "nas_sens"
    for kind in ("search_spaces", "studies"):
        shipped = {p.relative_to(package / kind) for p in (package / kind).rglob("*.toml")}
        assert shipped == {p.relative_to(ROOT / kind) for p in (ROOT / kind).rglob("*.toml")}
        assert shipped
    assert (package / "py.typed").is_file()
    assert (package / "report" / "templates" / "report.html.j2").is_file()
    assert not list(unpacked.rglob("test_*.py"))
    assert {p.name for p in unpacked.iterdir() if "." not in p.name} == {"nas_sens"}


def test_the_wheel_has_the_packages_version(unpacked: Path) -> None:
    (metadata,) = unpacked.glob("nas_sens-*.dist-info/METADATA")
    assert email.message_from_string(metadata.read_text(encoding="utf-8"))["Version"] == nas_sens.__version__
    assert metadata.parent.name == f"nas_sens-{nas_sens.__version__}.dist-info"


@pytest.mark.slow
def test_the_quickstart_runs_from_the_wheel_in_an_unrelated_folder(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import sys, nas_sens; sys.path[:] = [p for p in sys.path if p != sys.argv[1]];"
        "assert nas_sens.__file__.startswith(sys.argv.pop(2)), nas_sens.__file__; sys.argv.pop(1);"
        "from nas_sens.cli.main import main; main()"
    )
    arguments = ["search", "quickstart", "--n-candidates", "20", "--top-k", "1", "--format", "json"]
    run = subprocess.run(
        [sys.executable, "-c", code, str(ROOT), str(unpacked), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked), "OPTUNA_STORAGE": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert len(json.loads(run.stdout)) == 4
    assert (tmp_path / "quickstart_report.html").is_file()
