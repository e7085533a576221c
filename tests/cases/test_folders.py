"""Folders of pictures as people have them: what is understood, what is told, and what is refused in which words."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data

CATS_AND_DOGS = {"cat": 6, "dog": 6}


def below(folder: str, tree: dict) -> dict:
    return {f"{folder}/{path}": content for path, content in tree.items()}


def build(root: Path, tree: dict, seed: int = 0) -> None:
    """Write a tree: a number makes as many different pictures in that folder, text or bytes a file."""
    rng = np.random.default_rng(seed)
    for path, content in tree.items():
        if isinstance(content, int):
            (root / path).mkdir(parents=True, exist_ok=True)
            for i in range(content):
                Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).save(root / path / f"{i}.png")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def load(root, **options):
    return load_data(DataSpec(name=f"folder:{root}", **options))


def n_of(splits) -> tuple[int, int, int]:
    return len(splits.y_train), len(splits.y_val), len(splits.y_test)


@dataclass(frozen=True)
class Case:
    """A folder, and either what it is understood as or the message.

    ``sizes`` are those of train, val and test, None where the split makes them; ``notes`` are parts of the notes, all.
    """

    name: str
    tree: dict
    classes: tuple[str, ...] = ("cat", "dog")
    sizes: tuple[int | None, int | None, int | None] = (None, None, None)
    total: int = 12
    notes: tuple[str, ...] = ()
    error: str = ""


def parted(train: str, val: str = "", test: str = "", around: str = "", more: dict | None = None) -> dict:
    tree = {name: n for part in (train, val, test) if part for name, n in below(part, CATS_AND_DOGS).items()}
    return {**(below(around, tree) if around else tree), **(more or {})}


ALL_PARTS = {"sizes": (12, 12, 12), "total": 36}
TRAIN_AND_TEST = {"sizes": (None, None, 12), "total": 24}
CASES = [
    Case("F1-roboflow", parted("train", "valid", "test", more={"README.roboflow.txt": "x"}), **ALL_PARTS,
         notes=("1 file left out, no pictures: .txt 1",)),
    Case("F2-validation", parted("train", "validation"), sizes=(None, 12, None), total=24),
    Case("parts-Training-Testing", parted("Training", test="Testing"), **TRAIN_AND_TEST),
    Case("parts-capitals", parted("TRAIN", "Val", "Test"), **ALL_PARTS),
    Case("parts-sets", parted("training_set", test="test_set"), **TRAIN_AND_TEST),
    Case("parts-joined", parted("trainset", "DevSet", "testset"), **ALL_PARTS),
    Case("parts-dev", parted("train", "dev", "test"), **ALL_PARTS),
    Case("parts-eval", parted("train", "eval"), sizes=(None, 12, None), total=24),
    Case("parts-years", parted("train2017", "val2017"), sizes=(None, 12, None), total=24),
    Case("parts-only-train", parted("train"), total=12),
    Case("wrapper-dataset", parted("train", "val", "test", around="dataset"), **ALL_PARTS, notes=("those in dataset",)),
    Case("wrapper-images", parted("train", "val", "test", around="images", more={"labels/train/a.txt": "0"}),
         **ALL_PARTS, notes=("those in images", ".txt 1")),
    Case("wrapper-deep", parted("train", test="test", around="archive/data"), **TRAIN_AND_TEST,
         notes=("those in archive/data",)),
    Case("wrapper-inside", parted("seg_train/seg_train", test="seg_test/seg_test"), **TRAIN_AND_TEST),
    Case("wrapper-inside-images", parted("train/images", test="test/images"), **TRAIN_AND_TEST),
    Case("wrapper-of-classes", below("pets", CATS_AND_DOGS),
         error="given 1, 'pets'; give the path of 'pets' if cat and dog in it are the classes"),
    Case("wrapper-images-of-classes", below("images", CATS_AND_DOGS), notes=("the classes are those in images",)),
    Case("beside-labels", parted("train", test="test", more={"labels/a.txt": "0", "labels/b.txt": "0"}),
         **TRAIN_AND_TEST, notes=("2 files left out, no pictures: .txt 2",)),
    Case("beside-macosx", parted("train", test="test", more={"__MACOSX/train/cat/._0.png": "x"}), **TRAIN_AND_TEST,
         notes=("left out, hidden or the system's: __MACOSX 1",)),
    Case("beside-yaml", parted("train", "val", "test", more={"data.yaml": "nc: 2"}), **ALL_PARTS, notes=(".yaml 1",)),
    Case("beside-flat-pictures", parted("train", "val", "test", more={"extra": 3}), error=r"the folder extra/ in .* is "
         r"in the way: beside .*; move extra away"),
    Case("beside-sorted-pictures", parted("train", test="test", more=below("pred", CATS_AND_DOGS)),
         error="the folder pred/ in .* is in the way"),
    Case("same-part-twice", parted("train", "val", "validation"),
         error=r"val/ and validation/ in .* mean the same part \(val\); merge them"),
    Case("no-train", parted("valid", test="test"), error="there is valid/ and test/ in .*, but no train/; add it"),
    Case("classes-beside-test", {**CATS_AND_DOGS, **below("test", CATS_AND_DOGS)},
         error="there is test/ in .*, but no train/; put cat and dog into train/"),
    Case("F8-flat-test", {**parted("train"), "test": 8}, error="has no subfolder cat or dog, but 8 pictures directly"),
    Case("flat-test-inside", {**parted("asl_train/asl_train"), "asl_test/asl_test": 4},
         error="asl_test/asl_test has no subfolder cat or dog, but 4 pictures directly"),
    Case("flat-val-inside", {**parted("train"), "val/images": 4, "val/val.txt": "x"},
         error="val/images has no subfolder cat or dog"),
    Case("kaggle-twice", {**parted("train", test="test", around="chest"), **parted("train", around="chest/chest")},
         error="the folder chest/ in .*chest is in the way"),
    Case("kaggle-pred", {**parted("seg_train/seg_train", test="seg_test/seg_test"), "seg_pred/seg_pred": 4},
         error="the folder seg_pred/ in .* is in the way: beside seg_train/ and seg_test/"),
    Case("wrapper-class-train", {"v/train": 6, "v/bus": 6}, classes=("bus", "train"),
         notes=("the classes are those in v", "train/ is taken for a class")),
    Case("no-picture-in-unknown-class", parted("train", test="test", more={"test/labels/a.txt": "x"}),
         **TRAIN_AND_TEST, notes=(".txt 1",)),
    Case("all-flat", {"train": 4, "test": 3},
         error=r"at least 2 subfolders, one a class, .*train; given 0 and 4 pictures; sort them into subfolders"),
    Case("flat-by-split", {"dogs_train": 4, "dogs_test": 3}, error=r"given 0 and 4 pictures; sort them"),
    Case("flat-with-table", {".": 5, "labels.csv": "a"},
         error=r"given 0, and 5 pictures \(other files: .csv 1\); sort them into subfolders"),
    Case("class-train", {"train": 6, "bus": 6, "car": 6}, classes=("bus", "car", "train"), total=18,
         notes=("train/ is taken for a class",)),
    Case("class-train-beside-test1", {"train": 6, "test1": 6},
         error="train/ in .* may be a part of the data or a class"),
    Case("class-train-beside-unlabelled", {"train": 6, "unlabeled": 6}, error="train/ in .* may be a part of the data"),
    Case("class-train-nested", {"train/steam": 6, "bus": 6},
         error="the folder bus/ in .* is in the way: .* rename train/"),
    Case("class-test", {"test": 6, "cat": 6, "dog": 6},
         error="test/ in .* may be a part of the data or a class beside cat and dog; rename it if it is a class"),
    Case("class-with-part-words", {"train_station": 6, "test_tube": 6}, classes=("test_tube", "train_station")),
    Case("classes-by-unknown-part-names", {**below("fold1", CATS_AND_DOGS), **below("fold2", CATS_AND_DOGS)},
         classes=("fold1", "fold2"), total=24, notes=("each of the classes fold1 and fold2 has",)),
    Case("parts-in-classes", {"pos/train": 5, "pos/test": 4, "neg/train": 5, "neg/test": 4},
         error="test and train lie in the folders of the classes neg and pos; put the folders of the classes"),
    Case("parts-in-another-tongue", {**below("Trainingsdaten", CATS_AND_DOGS), **below("Testdaten", CATS_AND_DOGS)},
         error="Testdaten and Trainingsdaten have the subfolders cat and dog each and may be classes or parts"),
    Case("yolo-inside", {"train/images": 4, "train/labels/0.txt": "0", "valid/images": 2, "valid/labels/0.txt": "0"},
         error="images/ and labels/ in .*train is how data for detection or segmentation are laid out"),
    Case("yolo-outside", {"images/train": 4, "images/val": 2, "labels/train/0.txt": "0"},
         error="images/ and labels/ in"),
    Case("masks", {"images": 4, "masks": 4},
         error="images/ and masks/ in .* is how data for detection or segmentation"),
    Case("voc", {"JPEGImages": 4, "Annotations/0.xml": "x"}, error="how data for detection"),
    Case("class-missing-in-test", {**parted("train"), "test/cat": 3}, sizes=(None, None, 3), total=15,
         notes=("the test set has no sample of the class 'dog'",)),
    Case("class-unknown", {**parted("train"), "test/eel": 3},
         error=r"test/ has the class 'eel', which train/ has not \(it has cat and dog\)"),
    Case("class-other-case", {**parted("train"), "test/Cat": 3},
         error=r"class 'Cat', .*\('cat' is written otherwise\)"),
    Case("class-accents", {"train/na\u00efve": 6, "train/tea": 6, "test/nai\u0308ve": 3, "test/tea": 3},
         classes=("na\u00efve", "tea"), sizes=(None, None, 6), total=18),
    Case("class-escape", {"a\x1b[31m\n": 6, "b": 6}, classes=("a\\x1b[31m\\n", "b")),
    Case("class-empty", {**CATS_AND_DOGS, "eel/a.txt": "x", "eel/.b": "x"},
         error=r"eel of a class holds no picture \(other files: .b 1, .txt 1\); add some or remove it"),
    Case("class-of-heic", {**CATS_AND_DOGS, "eel/a.heic": "x", "eel/b.HEIC": "x"}, error=r"other files: .heic 2"),
    Case("F5-checkpoints", {**CATS_AND_DOGS, "cat/.ipynb_checkpoints": 3, "dog/deep/.git": 2, ".git/cat": 2},
         notes=("hidden or the system's: .git 2, .ipynb_checkpoints 1",)),
    Case("F9-system", {**CATS_AND_DOGS, "cat/Thumbs.db": "x", "cat/._0.png": "x", "dog/.DS_Store": "x",
                       "dog/@eaDir/0.png/a.jpg": "x", "__MACOSX/cat/._0.png": "x"},
         notes=(".DS_Store 1, ._* 1, @eaDir 1, Thumbs.db 1, __MACOSX 1",)),
    Case("F7-left-out", {**CATS_AND_DOGS, "cat/a.txt": "x", "dog/b.TXT": "x", "dog/c.json": "x", "dog/d": "x",
                         "cat/empty": "", "e.md": "x"},
         notes=("6 files left out, no pictures: no ending 2, .txt 2, .json 1, .md 1",)),
    Case("beside-classes", {**CATS_AND_DOGS, ".": 3},
         notes=("3 pictures left out, in the folder of no class, such as 0",)),
    Case("F11-empty-file", {**CATS_AND_DOGS, "cat/z.png": ""}, error=r"cat/z.png cannot be read .*\(it is empty\)"),
    Case("F13-html", {"<b>cat<b>": 6, 'dog & "co"': 6}, classes=("<b>cat<b>", 'dog & "co"')),
    Case("F13-nested", {"a/s1": 3, "a/s2": 3, "b/s3": 3, "b": 3}, classes=("a", "b")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_folder_is_understood_or_refused(tmp_path, case):
    build(tmp_path, case.tree)
    if case.error:
        with pytest.raises(InvalidInputError, match=case.error) as caught:
            load(tmp_path)
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()
        return
    splits = load(tmp_path)
    assert splits.class_names == case.classes
    assert sum(n_of(splits)) == case.total
    assert [n for n, expected in zip(n_of(splits), case.sizes, strict=True) if expected is not None] == [
        n for n in case.sizes if n is not None
    ]
    assert len(splits.notes) == len(case.notes), splits.notes
    for part, note in zip(case.notes, splits.notes, strict=True):
        assert part in note


def test_labels_of_all_parts_follow_the_classes_of_training(tmp_path):
    build(tmp_path, {"train/a": 3, "train/b": 4, "train/c": 5, "valid/b": 2, "Test/a": 1, "Test/c": 3})
    splits = load(tmp_path)
    assert [np.bincount(y, minlength=3).tolist() for y in (splits.y_train, splits.y_val, splits.y_test)] == [
        [3, 4, 5],
        [0, 2, 0],
        [1, 0, 3],
    ]


WORDS = {"train": ("train", "Training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing")}


@settings(max_examples=25, deadline=None)
@given(
    names=st.fixed_dictionaries({part: st.sampled_from(words) for part, words in WORDS.items()}),
    change=st.sampled_from([str.lower, str.upper, str.title]),
    form=st.sampled_from(["{}", "{}_set", "{} data", "{}-images", "my_{}_2"]),
    around=st.sampled_from(["", "dataset", "a/b"]),
)
def test_parts_are_never_taken_for_classes(names, change, form, around):
    with tempfile.TemporaryDirectory() as folder:
        spelt = [form.format(change(names[part])) for part in ("train", "val", "test")]
        build(Path(folder), parted(*spelt, around=around))
        splits = load(folder)
        assert (splits.class_names, n_of(splits)) == (("cat", "dog"), (12, 12, 12))


def test_links_in_circles_end(tmp_path):
    build(tmp_path, {**CATS_AND_DOGS, "cat/deep": 2})
    (tmp_path / "cat" / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat" / "self")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat" / "out").symlink_to(tmp_path.parent)
    names = ("x", "y", "z")
    for a in names:
        (tmp_path / "dog" / a).mkdir()
        for b in names:
            (tmp_path / "dog" / a / f"to-{b}").symlink_to(tmp_path / "dog" / b)
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    splits = load(tmp_path)
    assert sum(n_of(splits)) == 14
    assert "links to nowhere, pipes and the like" in splits.notes[0]
    assert "links to folders that are read anyway" in splits.notes[0]


def test_linked_folders_are_read(tmp_path):
    build(tmp_path / "all", {"cat": 6, "dog": 6, "puppies": 2})
    (tmp_path / "mine" / "dog").mkdir(parents=True)
    (tmp_path / "mine" / "cat").symlink_to(tmp_path / "all" / "cat")
    (tmp_path / "mine" / "dog" / "old").symlink_to(tmp_path / "all" / "dog")
    (tmp_path / "mine" / "dog" / "young").symlink_to(tmp_path / "all" / "puppies")
    splits = load(tmp_path / "mine")
    assert (sum(n_of(splits)), splits.notes) == (14, ())


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs permissions of POSIX")
def test_a_folder_that_may_not_be_read_is_one_line():
    root = Path(tempfile.mkdtemp())
    user = os.geteuid()
    try:
        build(root, CATS_AND_DOGS)
        root.chmod(0o755)
        (root / "dog").chmod(0)
        if user == 0:
            os.seteuid(65534)
        with pytest.raises(InvalidInputError, match=r"the folder .*dog cannot be read \(Permission denied\); make it"):
            load(root)
    finally:
        os.seteuid(user)
        (root / "dog").chmod(0o755)
        shutil.rmtree(root)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(InvalidInputError, match=r"photos.zip: is a file; unpack it"):
        load(tmp_path / "photos.zip")
