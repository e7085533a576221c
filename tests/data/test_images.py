"""Image folders, Hugging Face data sets and SVHN from tiny files made here."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as torchvision_datasets

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.data.pictures import Pictures

RNG = np.random.default_rng(0)
PARTS = ("train", "val", "test")


def make_folder(root, classes=("cat", "dog"), n=10, shape=(6, 4, 3)):
    """Write ``n`` pictures a class; return them by path."""
    pictures = {}
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
            pictures[name, i] = pixels
    return pictures


def load(path, **options):
    return load_data(DataSpec(name=f"folder:{path}", **options))


def seen(s):
    return {
        ((x * 255).round().byte().numpy().tobytes(), int(y))
        for p in PARTS
        for x, y in zip(getattr(s, f"x_{p}"), getattr(s, f"y_{p}"), strict=True)
    }


@pytest.mark.parametrize(("shape", "channels"), [((6, 4, 3), 3), ((6, 4), 1)])
def test_one_subfolder_is_one_class_and_pictures_need_not_be_square(tmp_path, shape, channels):
    pictures = make_folder(tmp_path, shape=shape)
    s = load(tmp_path)
    assert (s.input_shape, s.n_outputs, s.class_names) == ((channels, 6, 4), 2, ("cat", "dog"))
    expected = {
        (np.atleast_3d(v).transpose(2, 0, 1).tobytes(), ["cat", "dog"].index(k)) for (k, _), v in pictures.items()
    }
    assert seen(s) == expected


def test_one_picture_in_colour_makes_all_of_them_colour(tmp_path):
    make_folder(tmp_path, shape=(5, 5))
    Image.new("RGBA", (5, 5), (255, 0, 0, 128)).save(tmp_path / "cat" / "red.png")
    assert load(tmp_path).input_shape == (3, 5, 5)


def test_other_files_are_left_out(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("hello")
    (tmp_path / "cat" / ".hidden.png").write_text("hello")
    (tmp_path / ".git").mkdir()
    assert sum(len(getattr(load(tmp_path), f"x_{p}")) for p in PARTS) == 20


def test_official_parts_are_kept(tmp_path):
    for part, n in (("train", 6), ("val", 3), ("test", 2)):
        make_folder(tmp_path / part, n=n)
    s = load(tmp_path)
    assert [len(getattr(s, f"x_{p}")) for p in PARTS] == [12, 6, 4]
    assert s.y_test.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("size", "shape"), [(8, (3, 8, 8)), ((3, 7), (3, 3, 7)), ([3, 7], (3, 3, 7))])
def test_images_are_resized(tmp_path, size, shape):
    make_folder(tmp_path, n=10)
    make_folder(tmp_path / "wide", classes=("x",), n=10, shape=(4, 9, 3))
    (tmp_path / "wide" / "x").rename(tmp_path / "x")
    (tmp_path / "wide").rmdir()
    s = load(tmp_path, image_size=size)
    assert s.input_shape == shape
    assert 0.3 < float(s.x_train.mean()) < 0.7
    with pytest.raises(
        InvalidInputError, match=r"one size, but x/0.png has 4×9 pixels and cat/0.png 6×4; set image_size"
    ):
        load(tmp_path)


def break_it(tmp_path, how):
    make_folder(tmp_path, n=4)
    if how == "empty class":
        (tmp_path / "eel").mkdir()
    elif how == "one class":
        (tmp_path / "dog").rename(tmp_path / ".dog")
    elif how == "not a picture":
        (tmp_path / "cat" / "0.png").write_text("no picture")
    elif how == "cut off":
        content = (tmp_path / "cat" / "0.png").read_bytes()
        (tmp_path / "cat" / "0.png").write_bytes(content[:60])
    elif how == "deep":
        Image.fromarray(np.zeros((6, 4), np.uint16)).save(tmp_path / "cat" / "0.png")
    elif how == "unknown class":
        (tmp_path / "train").mkdir()
        for name in ("cat", "dog"):
            (tmp_path / name).rename(tmp_path / "train" / name)
        make_folder(tmp_path / "test", classes=("eel",))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty class", "eel of a class holds no picture"),
        ("one class", "at least 2 subfolders, one a class, .*given 1"),
        ("not a picture", "cat/0.png cannot be read as an image"),
        ("cut off", "cat/0.png cannot be read as an image"),
        ("deep", "cat/0.png has more than 8 bits"),
        ("unknown class", "test/ has the class 'eel', which train/ has not"),
    ],
)
def test_unusable_folders_are_refused_in_one_line(tmp_path, how, message):
    break_it(tmp_path, how)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="is no folder; give the path"):
        load(tmp_path / "none")


def test_svhn(tmp_path, monkeypatch):
    import hashlib

    images = {p: RNG.integers(0, 256, (32, 32, 3, 40), dtype=np.uint8) for p in ("train", "test")}
    entries = {}
    for part, x in images.items():
        path = tmp_path / f"{part}_32x32.mat"
        savemat(path, {"X": x, "y": (np.arange(40) % 10 + 1).astype(np.uint8)[:, None]})  # 10 is the digit 0
        entries[part] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision_datasets.SVHN, "split_list", entries)
    s = load_data(DataSpec(name="svhn", root=str(tmp_path), val_fraction=0.5))
    assert (s.input_shape, s.n_outputs) == ((3, 32, 32), 10)
    np.testing.assert_allclose(s.x_test, images["test"].transpose(3, 2, 0, 1) / 255, atol=1e-6)
    assert s.y_test[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    with pytest.raises(InvalidInputError, match="data 'svhn' is not in the folder"):
        load_data(DataSpec(name="svhn", root=str(tmp_path / "none")))


def test_hugging_face_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InvalidInputError, match=r"hf:mnist: needs the package datasets; .*nas-sens\[huggingface\]"):
        load_data(DataSpec(name="hf:mnist"))


def hugging_face():
    return pytest.importorskip("datasets", reason="needs the extra huggingface")


def test_hugging_face_images(tmp_path):
    hf = hugging_face()
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["cat", "dog", "eel"])})
    pixels = RNG.integers(0, 256, (30, 5, 7, 3), dtype=np.uint8)

    def part(start, stop):
        rows = {"image": [Image.fromarray(v) for v in pixels[start:stop]], "label": [i % 3 for i in range(start, stop)]}
        return hf.Dataset.from_dict(rows, features=features)

    hf.DatasetDict({"train": part(0, 20), "test": part(20, 30)}).save_to_disk(str(tmp_path / "d"))
    s = load_data(DataSpec(name=f"hf:{tmp_path}/d"))
    assert (s.input_shape, s.n_outputs, s.class_names) == ((3, 5, 7), 3, ("cat", "dog", "eel"))
    np.testing.assert_allclose(s.x_test, pixels[20:].transpose(0, 3, 1, 2) / 255, atol=1e-6)
    assert s.y_test.tolist() == [i % 3 for i in range(20, 30)]
    assert load_data(DataSpec(name=f"hf:{tmp_path}/d", image_size=4)).input_shape == (3, 4, 4)
    with pytest.raises(InvalidInputError, match="holds pictures, of which there is no column to drop"):
        load_data(DataSpec(name=f"hf:{tmp_path}/d", drop=["a"]))


def hub_pictures(hf, contents, **feature):
    """Return a data set of encoded pictures, of which the first half is of class cat."""
    features = hf.Features({"image": hf.Image(**feature), "label": hf.ClassLabel(names=["cat", "dog"])})
    rows = [None if content is None else {"bytes": content, "path": None} for content in contents]
    return hf.Dataset.from_dict(
        {"image": rows, "label": [2 * i // len(rows) for i in range(len(rows))]}, features=features
    )


def encoded(n, form="PNG"):
    files = [io.BytesIO() for _ in range(n)]
    for file in files:
        Image.fromarray(RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)).save(file, format=form)
    return [file.getvalue() for file in files]


@pytest.mark.parametrize("size", [None, (5, 3)])
def test_hugging_face_pictures_are_the_same_streamed(tmp_path, size):
    hf = hugging_face()
    hub_pictures(hf, encoded(24)).save_to_disk(str(tmp_path / "d"))
    there, streamed = (
        load_data(DataSpec(name=f"hf:{tmp_path}/d", image_size=size, standardize=True, load=load, workers=0))
        for load in ("memory", "stream")
    )
    assert isinstance(streamed.x_train, Pictures)
    assert streamed.x_train.is_streamed
    assert streamed.content == there.content != ""
    for part in ("train", "val", "test"):
        torch.testing.assert_close(getattr(streamed, f"x_{part}")[:], getattr(there, f"x_{part}")[:], rtol=0, atol=0)
        assert torch.equal(getattr(streamed, f"y_{part}"), getattr(there, f"y_{part}"))


def test_hugging_face_splits_are_parts_by_name_and_copies_are_told(tmp_path):
    hf = hugging_face()
    train, other = encoded(8), encoded(4)
    parts = {"Train": train, "dev": encoded(4), "testing": [*other[:3], train[7]], "unsupervised": other}
    whole = hf.DatasetDict({name: hub_pictures(hf, contents) for name, contents in parts.items()})
    whole.save_to_disk(str(tmp_path / "d"))
    s = load_data(DataSpec(name=f"hf:{tmp_path}/d"))
    assert [len(getattr(s, f"y_{p}")) for p in PARTS] == [8, 4, 4]
    assert s.notes == (
        "splits left out, as their names mean no part: unsupervised",
        "1 of 4 test pictures is in the training set, too: row 3 of test = row 7 of train",
    )
    hf.DatasetDict({"train": whole["Train"], "val": whole["dev"], "valid": whole["dev"]}).save_to_disk(
        str(tmp_path / "two")
    )
    with pytest.raises(InvalidInputError, match=r"the splits val, valid mean the same part \(val\)"):
        load_data(DataSpec(name=f"hf:{tmp_path}/two"))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n", "cannot be read as an image .it is none of JPEG"),
        (b"", "cannot be read as an image .it is empty"),
        (None, "has no picture; remove such rows"),
    ],
)
def test_hugging_face_pictures_run_no_program_and_must_be_there(tmp_path, last, message):
    hf = hugging_face()
    hub_pictures(hf, [*encoded(9), last]).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(InvalidInputError, match=f"row 9 of train {message}"):
        load_data(DataSpec(name=f"hf:{tmp_path}/d"))


def test_hugging_face_pictures_keep_the_mode_of_their_column(tmp_path):
    hf = hugging_face()
    hub_pictures(hf, encoded(10, "JPEG"), mode="L").save_to_disk(str(tmp_path / "d"))
    assert load_data(DataSpec(name=f"hf:{tmp_path}/d")).input_shape == (1, 4, 6)


def test_hugging_face_tables(tmp_path):
    hf = hugging_face()
    rows = {"a": [i / 2 for i in range(30)], "b": ["x", "y"] * 15, "price": [i * 1.5 for i in range(30)]}
    hf.Dataset.from_dict(rows).save_to_disk(str(tmp_path / "d"))
    s = load_data(DataSpec(name=f"hf:{tmp_path}/d", target="price"))
    assert (s.task, s.feature_names) == ("regression", ("a", "b=x", "b=y"))
    torch.testing.assert_close(s.y_train[:, 0], s.x_train[:, 0] * 3)
    assert load_data(DataSpec(name=f"hf:{tmp_path}/d", target="price", drop=["b"])).feature_names == ("a",)
    with pytest.raises(InvalidInputError, match=r"column to predict is required, .*columns: a, b, price"):
        load_data(DataSpec(name=f"hf:{tmp_path}/d"))
    with pytest.raises(InvalidInputError, match="has no column 'z'"):
        load_data(DataSpec(name=f"hf:{tmp_path}/d", target="z"))


def test_hugging_face_labels_keep_their_place_in_the_list_of_names(tmp_path):
    hf = hugging_face()
    features = hf.Features({"a": hf.Value("float32"), "c": hf.ClassLabel(names=["none", "some", "all"])})
    rows = {"a": [float(i) for i in range(30)], "c": [1 + i % 2 for i in range(30)]}  # "none" does not occur
    hf.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "d"))
    s = load_data(DataSpec(name=f"hf:{tmp_path}/d", train_samples=6))
    assert (s.n_outputs, s.class_names, set(s.y_train.tolist())) == (3, ("none", "some", "all"), {1, 2})


def test_hugging_face_names_and_folders_that_cannot_be_used(tmp_path):
    hugging_face()
    with pytest.raises(InvalidInputError, match="no such folder, and a name of the Hugging Face hub needs download"):
        load_data(DataSpec(name="hf:mnist"))
    with pytest.raises(InvalidInputError, match="is no folder that save_to_disk of datasets wrote"):
        load_data(DataSpec(name=f"hf:{tmp_path}"))
