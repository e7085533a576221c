"""Parts, groups and weights that the user gives, beside pictures, in tables and by functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.data.own import samples_of
from nas_sens.data.splits import split
from tests.picture_folder import load, make_folder

PARTS = ("train", "val", "test")


def names_in(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.*") if p.suffix != ".csv")


def write_split(root: Path, **columns: object) -> Path:
    path = root.parent / "splits.csv"
    pd.DataFrame({"file": names_in(root), **columns}).to_csv(path, index=False)
    return path


def files_of(splits: ns.Splits) -> dict[str, list[str]]:
    """Return which files are in every part, in their order."""
    found = {}
    for part in PARTS:
        source = getattr(splits, f"x_{part}").source
        found[part] = [source.stored.encoded.name(i) for i in source.rows.tolist()]
    return found


@pytest.fixture
def root(tmp_path):
    return make_folder(tmp_path / "photos", n=10)


@pytest.mark.parametrize("how", ["memory", "stream"])
def test_pictures_are_in_the_parts_that_a_file_names(root, how):
    names = names_in(root)
    parts = ["Training", "valid", "test", "train", "train"] * 6
    table = write_split(root, part=parts).read_text().splitlines()
    (root.parent / "splits.csv").write_text("\n".join([table[0], *reversed(table[2:])]))  # the order means nothing
    splits = load(root, how, split=str(root.parent / "splits.csv"))
    assert [len(getattr(splits, f"y_{p}")) for p in PARTS] == [17, 6, 6]
    assert any("1 pictures left out" in note for note in splits.notes)
    streamed = load(root, "stream", split=str(root.parent / "splits.csv"))
    wanted = {p: [n for n, q in list(zip(names, parts, strict=True))[1:] if q.lower().startswith(p)] for p in PARTS}
    assert files_of(streamed) == wanted
    for part in PARTS:
        assert torch.equal(getattr(splits, f"x_{part}")[:], getattr(streamed, f"x_{part}")[:])
        classes = [sorted({"cat", "dog", "eel"}).index(name.split("/")[0]) for name in wanted[part]]
        assert getattr(splits, f"y_{part}").tolist() == classes


def test_a_group_is_in_one_part_and_classes_nearly_in_proportion(root):
    patients = [f"p{(i * 7) % 10}" for i in range(30)]
    path = write_split(root, patient=patients)
    splits = load(root, "stream", split=str(path), group="patient", val_fraction=0.25)
    of_file = dict(zip(names_in(root), patients, strict=True))
    groups = {part: {of_file[f] for f in files} for part, files in files_of(splits).items()}
    assert sum(map(len, groups.values())) == 10
    assert [len(getattr(splits, f"y_{p}")) for p in PARTS] == [18, 6, 6]
    for part in PARTS:
        assert len(set(torch.bincount(getattr(splits, f"y_{part}")).tolist())) == 1
    assert files_of(load(root, "stream", split=str(path), group="patient", val_fraction=0.25)) == files_of(splits)
    assert files_of(load(root, "stream", split=str(path), group="patient", seed=1)) != files_of(splits)


def test_weights_follow_their_pictures(root):
    weights = np.arange(30.0)
    path = write_split(root, how_sure=weights)
    splits = load(root, "stream", split=str(path), weight="how_sure", train_samples=12)
    of_file = dict(zip(names_in(root), weights, strict=True))
    expected = torch.tensor([of_file[f] for f in files_of(splits)["train"]])
    assert torch.allclose(splits.w_train, (expected / expected.mean()).float())
    assert splits.w_train.mean() == pytest.approx(1)
    changed = write_split(root, how_sure=weights[::-1])
    assert load(root, "stream", split=str(changed), weight="how_sure", train_samples=12).content != splits.content
    assert splits.to("cpu").w_train is not None


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"part": ["train"] * 29 + ["holdout"]}, {}, r"the column 'part' must hold train, val or test; given holdout"),
        ({"part": ["val"] * 15 + ["test"] * 15}, {}, "names no row for training; given val and test"),
        ({"part": ["train"] * 29 + [""]}, {}, "must have a value in every row, but 1 are empty"),
        ({}, {}, "the column 'part' is required"),
        (
            {"who": ["a"] * 30},
            {"group": "whom"},
            "group in .data. must name a column; given 'whom'; did you mean 'who'",
        ),
        ({"who": ["a"] * 30}, {"group": "who"}, "group = 'who' in .data. puts all of 30 samples into one group"),
        (
            {"part": ["train", "test"] * 15, "who": [*range(29), 0]},
            {"group": "who"},
            "the group 0 lies in train and in test",
        ),
        ({"w": [1] * 29 + ["much"]}, {"weight": "w"}, "must hold weights, finite numbers from 0; given much"),
        ({"w": [1] * 29 + [-1]}, {"weight": "w"}, "must hold weights, finite numbers from 0; given -1"),
        ({"w": [0] * 30}, {"weight": "w"}, "are all 0"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_one_line(root, columns, options, message):
    path = write_split(root, **columns)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(root, "stream", split=str(path), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,part\ncat/none.png,train\n", "1 of its 1 files are not in folder:.*, such as cat/none.png"),
        ("file,part\ncat/0.png,train\ncat/0.png,test\n", "names cat/0.png more than once"),
        ("picture,part\ncat/0.png,train\n", "the column 'file' is required.*; given picture and part"),
    ],
)
def test_files_that_are_not_there_are_named(root, text, message):
    (root.parent / "splits.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        load(root, "stream", split=str(root.parent / "splits.csv"))


def test_what_does_not_go_together_is_refused(root, tmp_path):
    with pytest.raises(InvalidInputError, match=r"splits\.csv"):
        load(root, "stream", split=str(tmp_path / "splits.csv"))
    with pytest.raises(InvalidInputError, match=r"group in \[data\] is a column of the file that split names"):
        load(root, "stream", group="who")
    make_folder(tmp_path / "parts" / "train")
    make_folder(tmp_path / "parts" / "test")
    with pytest.raises(InvalidInputError, match="has the parts train and test already"):
        load(tmp_path / "parts", "stream", split=str(write_split(root, part=["train"] * 30)))


def table(path: Path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["patient"] = [f"p{i % 12}" for i in range(60)]
    frame["set"] = ["train", "train", "val", "test"] * 15
    frame["w"] = rng.uniform(0, 3, 60).round(3)
    frame["answer"] = np.where(frame["a"] > 0, "yes", "no")
    frame.to_csv(path, index=False)
    return frame


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_columns_of_a_table_are_parts_groups_and_weights(tmp_path, task):
    frame = table(tmp_path / "t.csv")
    target = "answer" if task == "classification" else "c"
    given = {"name": f"csv:{tmp_path / 't.csv'}", "target": target, "task": task}
    splits = load_data(DataSpec(**given, split="set", weight="w", drop=("patient",)))
    assert "set" not in str(splits.feature_names)
    assert [len(getattr(splits, f"y_{p}")) for p in PARTS] == [30, 15, 15]
    assert torch.allclose(splits.x_val[:, 0], torch.tensor(frame.a[frame.set == "val"].to_numpy()).float())
    wanted = frame.w[frame.set == "train"].to_numpy()
    assert torch.allclose(splits.w_train, torch.tensor(wanted / wanted.mean()).float())
    grouped = load_data(DataSpec(**given, group="patient", drop=("set",)))
    of_row = {round(float(np.float32(a)), 5): p for a, p in zip(frame.a, frame.patient, strict=True)}
    groups = [{of_row[round(float(x[0]), 5)] for x in getattr(grouped, f"x_{p}")} for p in PARTS]
    assert sum(map(len, groups)) == 12
    assert min(map(len, groups)) >= 2


def test_a_function_gives_groups_and_weights():
    x, y = torch.arange(80.0).view(40, 2), torch.arange(40) % 2
    data = ns.Data(train=(x, y), groups=[f"g{i // 4}" for i in range(40)], weights=np.arange(40))
    splits = split(samples_of(data, source="f"), DataSpec(name="f:f"))
    parts = [{int(v[0]) // 8 for v in getattr(splits, f"x_{p}")} for p in PARTS]
    assert sum(map(len, parts)) == 10
    wanted = splits.x_train[:, 0] / 2
    assert torch.allclose(splits.w_train, wanted / wanted.mean())
    for wrong in ({"groups": [1, 2]}, {"weights": [-1.0] * 40}, {"weights": ["a"] * 40}):
        with pytest.raises(InvalidInputError, match=f"{next(iter(wrong))} must"):
            samples_of(ns.Data(train=(x, y), **wrong), source="f")
