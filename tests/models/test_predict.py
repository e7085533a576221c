"""Predictions for files are what the network gives for them as training saw them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import nas_sens as ns
from nas_sens.data._pillow import pillow
from nas_sens.data.resizing import read_picture
from nas_sens.models.predict import Predictor
from tests.models.exports import exported
from tests.models.test_preprocessing import CLASSES, SPEC, pictures

FC = ns.FCSpec(depth=1, width=6, init="he_normal")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "nas_sens", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_are_prepared_as_for_training(tmp_path: Path, mode: str) -> None:
    root = pictures(tmp_path / "pictures", mode)
    model, splits = exported(
        tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8), standardize=True), SPEC
    )
    seen = torch.cat([splits.x_train, splits.x_val, splits.x_test])
    with torch.no_grad():
        expected = torch.softmax(model(seen).double(), 1)
    found = list(Predictor(tmp_path / "net", device="cpu").predict([str(root)]))
    values = torch.tensor([[p.values[c] for c in CLASSES] for p in found])
    nearest = torch.cdist(values, expected.float()).min(1).values
    assert nearest.max() < 1e-6
    assert [p.source for p in found] == sorted(map(str, root.rglob("*.*")))
    assert [p.chosen for p in found] == [(CLASSES[int(v.argmax())],) for v in values]


def test_the_command_prints_probabilities_of_files_and_folders(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    exported(tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8)), SPEC)
    done = run(tmp_path, "predict", "net", "pictures", "--format", "csv", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 12
    for row in rows:
        p = [float(row[f"p_{c}"]) for c in CLASSES]
        assert sum(p) == pytest.approx(1)
        assert row["prediction"] == CLASSES[int(np.argmax(p))]
        assert float(row["probability"]) == max(p)
    one = run(tmp_path, "predict", "net", rows[0]["source"], "--device", "cpu")
    assert all(text in one.stdout for text in (*CLASSES, f"{float(rows[0]['probability']):.4g}"))


TABLE = "city,size,open,day,price\n" + "".join(
    f"{('Rom', 'Ulm', 'Bern')[i % 3]},{i * 1.5},{('true', 'false')[i % 2]},2020-01-{i % 28 + 1:02d},{i % 7 + i * 0.1:.1f}\n"  # noqa: E501
    for i in range(40)
)


def test_rows_of_a_table_are_prepared_as_for_training(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    data = ns.DataSpec(name=f"csv:{tmp_path / 't.csv'}", target="price", standardize=True)
    model, splits = exported(tmp_path / "net", data, FC)
    assert splits.task == "regression"
    seen = torch.cat([splits.x_train, splits.x_val, splits.x_test])
    with torch.no_grad():
        expected = sorted(model(seen).flatten().tolist())
    lines = TABLE.splitlines()
    (tmp_path / "new.csv").write_text("\n".join(",".join(reversed(line.split(",")[:4])) for line in lines) + "\n")
    done = run(tmp_path, "predict", "net", "new.csv", "--format", "json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["source"] for row in rows] == [str(i) for i in range(1, 41)]
    assert sorted(row["prediction"] for row in rows) == pytest.approx(expected, abs=1e-5)


WRONG = {
    "missing column": ("new.csv", "size,open,day\n1,true,2020-01-01\n", "needs the column 'city'"),
    "no number": ("new.csv", "city,size,open,day\nRom,?,true,2020-01-01\n", "'size' must hold a number"),
    "a picture": ("photo.jpg", "no table", "takes a table in CSV"),
    "no file": ("", "", "no file or folder"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_table_of_this_network_is_one_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    exported(tmp_path / "net", ns.DataSpec(name=f"csv:{tmp_path / 't.csv'}", target="price"), FC)
    name, content, said = WRONG[kind]
    if name:
        (tmp_path / name).write_text(content)
    with pytest.raises(ns.InvalidInputError, match=said) as error:
        list(Predictor(tmp_path / "net", device="cpu").predict([str(tmp_path / (name or "nothing"))]))
    assert "\n" not in str(error.value)


def test_damaged_pictures_and_unknown_tasks_are_one_line(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    exported(tmp_path / "net", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8)), SPEC)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "empty").mkdir()
    predictor = Predictor(tmp_path / "net", device="cpu")
    for path, said in ((tmp_path / "broken.jpg", "cannot be read as an image"), (tmp_path / "empty", "no pictures")):
        with pytest.raises(ns.InvalidInputError, match=said):
            list(predictor.predict([str(path)]))
    from PIL import Image

    Image.fromarray(np.full((9, 9), 40000, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ns.InvalidInputError, match="more than 8 bits"), pillow():
        list(predictor.predict([str(tmp_path / "deep.png")]))
    exported(tmp_path / "other", ns.DataSpec(name=f"folder:{root}", image_size=(12, 8)), SPEC, task="other")
    with pytest.raises(ns.InvalidInputError, match="a task of its own"):
        Predictor(tmp_path / "other", device="cpu")


def test_several_labels_and_temperature(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    spec = ns.DataSpec(name=f"folder:{root}", image_size=(12, 8))
    model, _ = exported(tmp_path / "labels", spec, SPEC, task="multilabel")
    exported(tmp_path / "warm", spec, SPEC, figures={"temperature": 2.0})
    path = sorted(map(str, root.rglob("*.*")))[3]
    pixels = torch.from_numpy(read_picture(path, "RGB", (12, 8), source="test").copy()).float() / 255
    with torch.no_grad():
        logits = model(pixels[None])[0].double()
    labels = next(Predictor(tmp_path / "labels", device="cpu").predict([path]))
    assert list(labels.values.values()) == pytest.approx(torch.sigmoid(logits).tolist())
    assert labels.chosen == tuple(c for c, v in zip(CLASSES, logits, strict=True) if v > 0)
    warm = next(Predictor(tmp_path / "warm", device="cpu").predict([path]))
    assert list(warm.values.values()) == pytest.approx(torch.softmax(logits / 2, 0).tolist())
