"""Outcomes looked up in a table: read, searched with, and what cannot be had from them."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import replace
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.architectures.cell import CellSpec
from nas_sens.core.candidates import CONTROL, TrainedCandidate
from nas_sens.core.errors import InvalidInputError
from nas_sens.report import render_report
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training.outcome_lookup import read_training_table, with_figures
from tests.tiny_study import tiny, url

SPECS = [ns.FCSpec(depth=depth, width=width, init="he_normal") for depth in (1, 2, 3) for width in range(4, 25)]
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def figures(spec: ns.FCSpec) -> dict[str, float]:
    error = 0.1 + 0.01 * spec.depth + 0.001 * abs(spec.width - 15)
    return {"val_error": error, "val_loss": 10 - error, "test_error": error + 0.02, "val_error_sd": 0.003, "n_seeds": 3}


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def whole_table(folder: Path, **changes: object) -> Path:
    return write(folder / "table.csv", [{"architecture": s.to_json(), **figures(s), **changes} for s in SPECS])


def study(table: Path, **select: object) -> ns.StudySpec:
    chosen = {"rule": "calibrated", "top_k": 4, "control": 2, "rounds": 2, "final": "val_error"}
    return tiny(select=ns.SelectSpec(**{**chosen, **select}), train=ns.TrainSpec(table=str(table)))


def test_search_takes_outcomes_from_the_table(tmp_path: Path) -> None:
    result = ns.search(study(whole_table(tmp_path)), storage=url(tmp_path))
    assert len(result.trials) == 6
    assert sum(t.chosen_by == CONTROL for t in result.trials) == 2
    for trial in result.trials:
        known = figures(ns.load_spec(trial.architecture))
        assert {k: getattr(trial, k) for k in known} == known
        assert trial.test_loss is None
        assert trial.curve == ()
        assert trial.seconds is None
    assert result.trials == tuple(sorted(result.trials, key=lambda t: (t.val_error, t.digest)))
    assert {t.round for t in result.trials if t.chosen_by != CONTROL} == {1, 2}
    page = render_report(
        name=result.name, protocol=result.protocol, candidates=result.candidates, trained=result.trials
    )
    assert "Ranked by validation error" in page
    assert "The best network by validation error is" in page


def test_what_a_table_has_no_weights_for_is_not_exported(tmp_path: Path) -> None:
    ns.search(study(whole_table(tmp_path)), storage=url(tmp_path))
    with pytest.raises(InvalidInputError, match=r"looked its outcomes up in .*table.csv, so there are no weights"):
        ns.load_model(url(tmp_path), "tiny")
    with pytest.raises(InvalidInputError, match="no weights"):
        ns.export_model(url(tmp_path), "tiny", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert ns.load_architecture(url(tmp_path), "tiny") in SPECS


def test_candidates_that_the_table_lacks_are_left_out(tmp_path: Path) -> None:
    result = ns.search(tiny(), storage=url(tmp_path))
    known = [ns.load_spec(c.architecture) for c in result.candidates][:3]
    table = write(tmp_path / "t.csv", [{"architecture": s.to_json(), **figures(s)} for s in known])
    found = ns.search(replace(study(table, control=0), name="few"), storage=url(tmp_path))
    assert {t.digest for t in found.trials} == {s.digest for s in known}
    foreign = write(tmp_path / "f.csv", [{"architecture": ns.FCSpec(depth=9, width=9).to_json(), **figures(SPECS[0])}])
    with pytest.raises(InvalidInputError, match=r"f.csv has none of the 8 candidates of study 'other'"):
        ns.search(replace(study(foreign), name="other"), storage=url(tmp_path))


def test_a_study_goes_on_with_the_same_contents_only(tmp_path: Path) -> None:
    first = ns.search(study(whole_table(tmp_path), top_k=2), storage=url(tmp_path))
    moved = (tmp_path / "table.csv").rename(tmp_path / "moved.csv")
    more = ns.search(study(moved), storage=url(tmp_path))
    assert {t.digest for t in first.trials} < {t.digest for t in more.trials}
    with pytest.raises(InvalidInputError, match="the table of outcomes of study 'tiny' changed"):
        ns.search(study(whole_table(tmp_path, val_error=0.5)), storage=url(tmp_path))
    assert len(read_result(StudyStorage(url(tmp_path)), "tiny").trials) == len(more.trials)


def test_a_path_may_start_from_the_folder_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "studies").mkdir()
    whole_table(tmp_path / "studies")
    file = tmp_path / "studies" / "s.toml"
    file.write_text('search_space = "fc"\n[data]\nname = "digits"\n[train]\ntable = "table.csv"\n')
    monkeypatch.chdir(tmp_path)
    assert ns.load_study("studies/s.toml").train.table == str(tmp_path / "studies" / "table.csv")


def test_failed_and_unknown_figures() -> None:
    record = TrainedCandidate(digest="d", architecture="{}", params=1, flops=1, candidate=0, chosen_by="random")
    failed = with_figures(record, {"val_error": math.inf, "test_error": 0.1, "n_seeds": 2})
    assert failed.status == "failed in the table: val_error not finite"
    assert (failed.val_error, failed.test_error, failed.n_seeds) == (None, None, 2)
    one = with_figures(record, {"val_error": 0.2, "test_error": 0.3, "train_error": 0.1})
    assert (one.n_seeds, one.generalization_gap, one.val_loss) == (1, pytest.approx(0.2), None)


def test_cells_are_found_by_the_benchmarks_own_string_at_any_size(tmp_path: Path) -> None:
    table = tmp_path / "cells.csv.gz"
    table.write_bytes(gzip.compress(f'arch,val_error,other\n"{CELL}",0.25,x\n'.encode()))
    found = read_training_table(table, required=["val_error"])
    assert found.find(CellSpec.from_string(CELL, channels=4, cells_per_stage=1)) == {"val_error": 0.25}
    assert found.find(CellSpec.from_string(CELL.replace("none~1", "skip_connect~1"))) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("architecture,val_error\n", "at least one row"),
        ("arch,val_loss\na,1\n", "a column 'val_error' is required"),
        ("arch,val_error\na,1\na,2\n", "line 3: 'a' is there already"),
        ("arch,val_error\na,\n", "line 2: val_error must be a number, or inf if the training failed; given ''"),
        ("arch,val_error\na,x\n", "line 2: val_error must be a number; given 'x'"),
        ("architecture,val_error\n{},1\n", "line 2"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InvalidInputError, match=message):
        read_training_table(tmp_path / "t.csv", required=["val_error"])


def test_ranking_by_what_only_networks_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"final = 'predicted_loss' needs trained networks"):
        ns.search(study(whole_table(tmp_path), final="predicted_loss"), storage=url(tmp_path))
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        ns.search(study(tmp_path / "missing.csv"), storage=url(tmp_path))
    assert not (tmp_path / "a.db").exists()
