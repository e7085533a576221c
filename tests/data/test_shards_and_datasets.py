"""Tar shards, and torch data sets of the user's own, in memory and streamed."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.data.own import samples_of
from nas_sens.data.pictures import Pictures
from nas_sens.data.samples import LoadOptions
from nas_sens.data.splits import split
from tests.picture_folder import SIZE, load

PARTS = ("train", "val", "test")


def write_shards(pictures: Path, folder: Path, *, parts: tuple[str, ...] = (), labels: str = "number") -> Path:
    """Write the pictures of a folder into archives of seven."""
    folder.mkdir()
    files = sorted(pictures.rglob("*.*"))
    order = np.random.default_rng(0).permutation(len(files))
    names = [*(parts or ("photos",))] * len(files)
    for start in range(0, len(files), 7):
        with tarfile.open(folder / f"{names[start // 7]}-{start:03d}.tar", "w") as archive:
            for i in order[start : start + 7]:
                file = files[i]
                name, label = file.parent.name, sorted({f.parent.name for f in files}).index(file.parent.name)
                text = {"number": str(label), "text": name, "json": json.dumps({"kind": name})}[labels]
                ending = "json" if labels == "json" else "cls"
                for suffix, content in ((file.suffix[1:], file.read_bytes()), (ending, text.encode())):
                    info = tarfile.TarInfo(f"{i:06d}.{suffix}")
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
    return folder


def by_bytes(splits: ns.Splits) -> set[tuple[bytes, int]]:
    return {
        (x.numpy().tobytes(), int(y))
        for part in PARTS
        for x, y in zip(getattr(splits, f"x_{part}")[:], getattr(splits, f"y_{part}"), strict=True)
    }


@pytest.mark.parametrize("labels", ["number", "text", "json"])
@pytest.mark.parametrize("how", ["memory", "stream"])
def test_shards_hold_the_pictures_of_a_folder(tmp_path, pictures, labels, how):
    write_shards(pictures, tmp_path / "s", labels=labels)
    target = {"target": "kind"} if labels == "json" else {}
    spec = DataSpec(name=f"shards:{tmp_path / 's'}", image_size=SIZE, load=how, workers=0, **target)
    splits = load_data(spec)
    assert isinstance(splits.x_train, Pictures) == (how == "stream")
    assert by_bytes(splits) == by_bytes(load(pictures, "memory"))
    assert splits.class_names == (("0", "1", "2") if labels == "number" else ("cat", "dog", "eel"))


def test_names_of_shards_are_parts(tmp_path, pictures):
    write_shards(pictures, tmp_path / "s", parts=("train", "train", "val", "test"))
    splits = load_data(DataSpec(name=f"shards:{tmp_path / 's'}", image_size=SIZE, load="stream"))
    assert [len(getattr(splits, f"y_{p}")) for p in PARTS] == [22, 7, 7]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no label", r"1 pictures of photos-000.tar have no label, such as 0000..; 0000...cls is required"),
        ("cut off", "photos-000.tar cannot be read as a tar archive"),
        ("compressed", "photos-000.tar cannot be read as a tar archive that is not compressed"),
        ("nothing", r"must be a tar archive, or a folder with \*.tar"),
        ("names", "archives must be called train, val or test with a number behind it, or all alike; given other and"),
    ],
)
def test_shards_that_cannot_be_used_are_refused_in_one_line(tmp_path, pictures, how, message):
    folder = write_shards(pictures, tmp_path / "s")
    first = folder / "photos-000.tar"
    if how == "no label":
        with tarfile.open(first) as old:
            members = [(m, old.extractfile(m).read()) for m in old]
        with tarfile.open(first, "w") as new:
            for member, content in members[:-1]:
                new.addfile(member, io.BytesIO(content))
    elif how == "cut off":
        first.write_bytes(first.read_bytes()[:700])
    elif how == "compressed":
        import gzip

        first.write_bytes(gzip.compress(first.read_bytes()))
    elif how == "nothing":
        for file in folder.iterdir():
            file.unlink()
    else:
        first.rename(folder / "other-000.tar")
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_data(DataSpec(name=f"shards:{folder}", image_size=SIZE, load="stream"))
    assert "\n" not in str(caught.value)


def clear_headers(tar: Path) -> None:
    """Write over all of an archive but its pictures, and leave its size and times as they were."""
    with tarfile.open(tar) as archive:
        kept = [(m.offset_data, archive.extractfile(m).read()) for m in archive if not m.name.endswith(".cls")]
    before, times = tar.stat().st_size, tar.stat()
    with tar.open("r+b") as file:
        file.write(b"x" * before)
        for offset, content in kept:
            file.seek(offset)
            file.write(content)
    os.utime(tar, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_archives_are_gone_through_once_and_again_when_they_change(tmp_path, pictures, cache):
    folder = write_shards(pictures, tmp_path / "s")
    spec = DataSpec(name=f"shards:{folder}", image_size=SIZE, load="stream", workers=0)
    first = load_data(spec)
    held = by_bytes(first)
    tar, *others = sorted(folder.glob("*.tar"))
    whole = tar.read_bytes()
    clear_headers(tar)
    again = load_data(spec)
    assert again.fingerprint == first.fingerprint
    assert by_bytes(again) == held
    for file in (cache / "known").glob("*.json"):  # as by a disk that was full
        file.write_text(file.read_text()[:-9])
    with pytest.raises(InvalidInputError, match=r"photos-000\.tar cannot be read as a tar archive"):
        load_data(spec)
    tar.write_bytes(whole)
    assert by_bytes(load_data(spec)) == held
    clear_headers(tar)
    os.utime(tar, ns=(0, 1))
    with pytest.raises(InvalidInputError, match=r"photos-000\.tar cannot be read as a tar archive"):
        load_data(spec)
    with tarfile.open(tar, "w") as new, tarfile.open(others[0]) as old:  # another archive of this name
        for member in old:
            new.addfile(member, old.extractfile(member))
    others[0].unlink()
    assert by_bytes(load_data(spec)) < held


def test_what_is_known_of_an_archive_is_of_one_kind_of_labels(tmp_path, pictures):
    folder = write_shards(pictures, tmp_path / "s", labels="json")
    spec = DataSpec(name=f"shards:{folder}", image_size=SIZE, load="stream", workers=0, target="kind")
    assert load_data(spec).class_names == ("cat", "dog", "eel")
    for wrong in ("colour", None):
        with pytest.raises(InvalidInputError, match="have no label"):
            load_data(replace(spec, target=wrong))


class Made(Dataset):
    """Pictures that are made when they are asked for, and counted."""

    def __init__(self, n: int, dtype: torch.dtype, *, has_targets: bool, wrong: int = -1) -> None:
        self.n, self.dtype, self.wrong, self.asked = n, dtype, wrong, []
        if has_targets:
            self.targets = [i % 3 for i in range(n)]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int):
        self.asked.append(i)
        side = 5 if i == self.wrong and len(self.asked) > 600 else 4
        x = torch.arange(2 * side * side).reshape(2, side, side) * (i + 1) % 256
        return x.to(self.dtype), i % 3


def splits_of(dataset: Dataset, how: str, **options: object) -> ns.Splits:
    samples = samples_of(ns.Data(train=dataset), source="f", options=LoadOptions(load=how, workers=0))
    return split(samples, DataSpec(name="f:f", **options))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("has_targets", [True, False])
@pytest.mark.parametrize("options", [{}, {"standardize": True}, {"train_samples": 30, "unit_norm": True}], ids=str)
def test_a_streamed_data_set_has_the_numbers_of_memory(dtype, has_targets, options):
    there, streamed = (
        splits_of(Made(90, dtype, has_targets=has_targets), how, **options) for how in ("memory", "stream")
    )
    assert isinstance(streamed.x_train, Pictures)
    for part in PARTS:
        given, wanted = getattr(streamed, f"x_{part}")[:], getattr(there, f"x_{part}")
        torch.testing.assert_close(given, wanted, rtol=1e-6, atol=1e-6 if options else 0)
        assert torch.equal(getattr(streamed, f"y_{part}"), getattr(there, f"y_{part}"))
    again = splits_of(Made(90, dtype, has_targets=not has_targets), "stream", **options)
    assert again.fingerprint == streamed.fingerprint
    assert splits_of(Made(91, dtype, has_targets=True), "stream", **options).fingerprint != streamed.fingerprint


def test_labels_that_are_known_are_not_asked_for():
    dataset = Made(2000, torch.uint8, has_targets=True)
    splits = splits_of(dataset, "stream")
    assert len(dataset.asked) < 300
    dataset.asked.clear()
    assert len(splits.x_val[[3, 1]]) == len(dataset.asked) == 2


def test_an_input_of_another_shape_is_named():
    splits = splits_of(Made(600, torch.uint8, has_targets=False, wrong=77), "stream")
    with pytest.raises(
        InvalidInputError, match=r"f: train: inputs must have one shape and type; number 77 has \(2, 5, 5\)"
    ):
        [list(getattr(splits, f"x_{part}").split(50)) for part in PARTS]


def test_random_data_sets_and_tokens_are_not_streamed():
    class Random(Made):
        def __getitem__(self, i):
            return torch.rand(2, 4, 4), i % 3

    with pytest.raises(InvalidInputError, match="must give the same input whenever a sample is asked for"):
        splits_of(Random(30, torch.float32, has_targets=True), "stream")
    with pytest.raises(InvalidInputError, match=r'load = "stream" in \[data\] needs parts that are torch data sets'):
        splits_of(Made(30, torch.int64, has_targets=True), "stream")
    assert isinstance(splits_of(Made(30, torch.int64, has_targets=True), "auto").x_train, torch.Tensor)
    arrays = ns.Data(train=(torch.zeros(6, 2, 4, 4), torch.arange(6) % 2))
    with pytest.raises(InvalidInputError, match="needs parts that are torch data sets"):
        samples_of(arrays, source="f", options=LoadOptions(load="stream"))
