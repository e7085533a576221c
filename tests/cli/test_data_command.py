"""``nas-sens data``: what was read, before anything runs; for people as tables, for programs as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nas_sens.cli.main import main

TABLE = "id;area;colour;kind\n" + "".join(
    f"{i + 500};{i * 1.5};{'red' if i % 3 else 'NA'};{'ab'[i % 2]}\n" for i in range(40)
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(TABLE)
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["data", *arguments])
    return ended.value.code, *capsys.readouterr()


def test_as_json_it_is_all_that_was_understood(capsys):
    code, out, err = run(capsys, "csv:t.csv", "--target", "kind", "--drop", "id", "--format", "json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["task"] == "classification"
    assert found["input_shape"] == [3]
    assert found["parts"] == {"train": 25, "validation": 7, "test": 8}
    assert found["classes"]["a"] == {"samples": 20, "train": 12, "validation": 4, "test": 4}
    assert [(c["name"], c["kind"], c["features"], c["values"]) for c in found["columns"]] == [
        ("id", "left out", 0, 40),
        ("area", "number", 1, 40),
        ("colour", "category", 2, 2),
        ("kind", "classes", 0, 2),
    ]
    assert found["input_range"] == [0.0, 58.5]
    assert found["notes"][0] == "fields are separated by semicolons"
    assert "14 are 'NA'" in found["columns"][2]["note"]


def test_as_a_table_it_shows_columns_classes_parts_and_notes(capsys):
    code, out, _ = run(capsys, "csv:t.csv", "--target", "kind")
    assert code == 0
    for word in (
        "csv:t.csv: classification, inputs 4",
        "Columns",
        "colour",
        "Classes",
        "Parts",
        "validation",
        "note: fields",
    ):
        assert word in out


def test_a_table_that_cannot_be_used_is_shown_too(capsys, folder):
    (folder / "t.csv").write_text(TABLE.replace("7;10.5;", "7;?;"))
    code, out, err = run(capsys, "csv:t.csv", "--target", "kind")
    assert code == 2
    assert "Columns" in out
    assert "colour" in out
    assert "the column 'area' must hold a number in every row, but 1 is '?'" in err


def test_data_that_cannot_be_split_are_shown_too(capsys, folder):
    (folder / "t.csv").write_text(TABLE + "600;3;red;c\n")
    code, out, err = run(capsys, "csv:t.csv", "--target", "kind", "--format", "json")
    assert code == 2
    assert json.loads(out)["classes"]["c"] == {"samples": 1, "not split": 1}
    assert "the class 'c' has 1 sample: remove or merge it" in err


def test_a_study_is_asked_for_its_data(capsys, folder):
    np.savez(folder / "a.npz", x=np.random.default_rng(0).random((40, 3)), y=np.arange(40) % 2 + 1)
    (folder / "s.toml").write_text('name = "s"\nsearch_space = "fc"\n[data]\nname = "npz:a.npz"\ntrain_samples = 10\n')
    code, out, _ = run(capsys, "s.toml", "--format", "json")
    found = json.loads(out)
    assert (code, found["parts"]["train"], found["classes"].keys()) == (0, 10, {"1", "2"})
    assert found["notes"] == ["the labels 1, 2 are numbered from 0"]


def test_csv_is_one_table(capsys):
    _, out, _ = run(capsys, "csv:t.csv", "--target", "kind", "--format", "csv")
    assert out.splitlines()[0] == "name,kind,features,values,missing,note"
    _, out, _ = run(capsys, "digits", "--format", "csv")
    assert out.splitlines()[0] == "class,samples,train,validation,test"
    _, out, _ = run(capsys, "diabetes", "--format", "csv")
    assert out.splitlines()[1] == "train,282"


def test_a_search_says_what_it_read_before_it_begins(capsys, folder):
    (folder / "s.toml").write_text(
        'name = "s"\n[search_space.fc]\ndepth = 1\nwidth = [2, 3]\n[data]\nname = "csv:t.csv"\ntarget = "kind"\n'
        "[search]\nn_candidates = 2\n[score]\nn_inputs = 4\nseeds = 1\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["score", "s.toml"])
    err = capsys.readouterr().err
    assert ended.value.code == 0
    assert "data csv:t.csv: inputs 4 features; 2 classes, 20 samples each; train 25, validation 7, test 8" in err
    assert "data csv:t.csv: fields are separated by semicolons" in err
    assert err.index("separated by semicolons") < err.index("score:")
