"""Databases of earlier revisions are ranked, reported, exported and resumed, once their two studies are one.

``before_the_rooms`` was written by revision 940e96e, by ``nas-sens search before_the_rooms.toml``; its ranking in JSON
is what ``nas-sens rank stored --format json`` printed there. ``two_studies`` was written by revision d484f77: searched,
given three notes of a user's own, searched again with 9 candidates and 7 to train. Some trainings lie between
candidates there; some were pruned, and one failed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.storage.study_storage import StudyStorage
from tests.earlier_studies import REVISIONS, content, copy_of, n_scored, url

HINT = "stored by an earlier nas_sens, as two studies; make one of them by: nas-sens migrate 'stored'"


@pytest.fixture(params=REVISIONS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copy_of(request.param, tmp_path))
    return tmp_path


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a command prints, run in the working directory."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    found = capsys.readouterr()
    assert ended.value.code == 0, found.err
    return found.out


def expected_ranking(folder: Path, n: int) -> list[dict[str, Any]]:
    """Return what was ranked then, in the words of now: trainings come behind ``n`` candidates."""
    rows = json.loads((folder / "study.json").read_text())
    rows = [{"candidate" if k == "source_trial" else k: v for k, v in row.items()} for row in rows]
    return [{**row, "number": row["number"] + n} for row in rows]


def test_it_is_ranked_reported_and_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n = n_scored(folder)
    command(capsys, "migrate", "stored")
    ranked = json.loads(command(capsys, "rank", "stored", "--format", "json"))
    assert ranked == expected_ranking(folder, n)
    scored = json.loads(command(capsys, "rank", "stored", "--scored", "--format", "json"))
    values = [c["log10_sensitivity"] for c in scored]
    assert len(values) >= 6
    assert values == sorted(values)
    command(capsys, "report", "stored")
    page = (folder / "stored_report.html").read_text()
    assert "Test loss against S" in page or "figures" not in (folder / "study.toml").read_text()
    assert ranked[0]["reason"] in page
    command(capsys, "export", "stored", "-o", "net")
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    program = torch.export.load(folder / "net" / "model.pt2").module()
    assert torch.allclose(ns.load_model(folder / "net")(x), program(x), atol=1e-6)
    spec = ns.load_spec(folder / "net")
    assert spec.digest == ns.load_spec(ranked[0]["architecture"]).digest


def test_it_is_resumed_where_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command(capsys, "migrate", "stored")
    before = StudyStorage(url(folder))
    scored, trained = before.scored("stored"), before.trained("stored")
    n_feasible, n_selected = sum(c.feasible for c in scored), sum(t.chosen_by != "control" for t in trained)
    result = ns.search(folder / "study.toml", storage=url(folder), top_k=n_selected + 1, n_candidates=n_feasible + 2)
    assert list(result.candidates[: len(scored)]) == scored
    assert len([c for c in result.candidates if c.feasible]) == n_feasible + 2
    after = StudyStorage(url(folder)).trained("stored")
    assert after[: len(trained)] == trained
    assert [t.chosen_by for t in after[len(trained) :]] == [result.protocol["select"]["rule"]]
    numbers = [t.number for t in optuna.load_study(study_name="stored", storage=url(folder)).trials]
    assert numbers == list(range(len(result.candidates) + len(after)))


def test_records_of_trainings_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(copy_of("before_the_rooms", tmp_path))
    command(capsys, "migrate", "stored")
    trained = StudyStorage(url(tmp_path)).trained("stored")
    assert len(trained) == 3
    assert all(t.records["points"] and t.measure_curves["grad_norm"] and len(t.curve) == 3 for t in trained)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rank", "stored"],
        ["report", "stored"],
        ["export", "stored", "-o", "net"],
        ["train", "stored"],
        ["search", "study.toml"],
        ["score", "study.toml"],
        ["replay", "stored"],
    ],
)
def test_commands_say_what_to_do_before(folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = content(folder)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert HINT in lines[-1]
    assert content(folder) == before
    assert {p.name for p in folder.iterdir()} <= {"nas_sens.db", "nas_sens_artifacts", "study.toml", "study.json"}


def test_an_unknown_name_is_told_of_earlier_studies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["rank", "none"])
    assert "stored by an earlier nas_sens: stored (nas-sens migrate --all)" in capsys.readouterr().err
