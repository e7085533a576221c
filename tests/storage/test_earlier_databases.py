"""Databases of earlier revisions are ranked, reported, exported and resumed.

``before_the_rooms`` was written by revision 940e96e, by ``nas-sens search before_the_rooms.toml``; its ranking in JSON
is what ``nas-sens rank stored --format json`` printed there.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import optuna
import pytest
import torch

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.storage.study_storage import StudyStorage

ASSETS = Path(__file__).parents[1] / "assets"
REVISIONS = sorted(p.stem for p in ASSETS.glob("*.db"))


@pytest.fixture(params=REVISIONS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a database under its default name, with its artifacts and declaration."""
    shutil.copy(ASSETS / f"{request.param}.db", tmp_path / "nas_sens.db")
    shutil.copytree(ASSETS / f"{request.param}_artifacts", tmp_path / "nas_sens_artifacts")
    for kind in ("toml", "json"):
        shutil.copy(ASSETS / f"{request.param}.{kind}", tmp_path / f"study.{kind}")
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command prints, run in the working directory."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    found = capsys.readouterr()
    assert ended.value.code == 0, found.err
    return found.out


def test_it_is_ranked_reported_and_exported(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    ranked = json.loads(command(capsys, "rank", "stored", "--format", "json"))
    assert ranked == json.loads((folder / "study.json").read_text())
    scored = json.loads(command(capsys, "rank", "stored", "--scored", "--format", "json"))
    values = [c["log10_sensitivity"] for c in scored]
    assert len(values) == 6
    assert values == sorted(values)
    command(capsys, "report", "stored")
    page = (folder / "report.html").read_text()
    assert "Test loss against S" in page
    assert ranked[0]["reason"] in page
    command(capsys, "export", "stored", "-o", "net")
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    program = torch.export.load(folder / "net" / "model.pt2").module()
    assert torch.allclose(ns.load_model(folder / "net")(x), program(x), atol=1e-6)
    spec = ns.load_spec(folder / "net")
    assert spec.digest == ns.load_spec(ranked[0]["architecture"]).digest


def test_it_is_resumed_where_it_was(folder: Path) -> None:
    url = f"sqlite:///{folder}/nas_sens.db"
    before = StudyStorage(url)
    scored, trained = before.scored("stored"), before.trained("stored")
    assert all(t.records["points"] and t.measure_curves["grad_norm"] for t in trained)
    result = ns.search(folder / "study.toml", storage=url, top_k=3, n_candidates=8)
    assert [c for c in result.candidates if c.number < len(scored)] == scored
    assert len([c for c in result.candidates if c.feasible]) == 8
    after = StudyStorage(url).trained("stored")
    assert after[: len(trained)] == trained
    assert [t.chosen_by for t in after[len(trained) :]] == ["calibrated"]
    assert len(optuna.load_study(study_name="stored/train", storage=url).trials) == len(trained) + 1
