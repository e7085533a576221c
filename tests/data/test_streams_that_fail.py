"""What can go wrong with pictures that stay in their files, and with the cache of decoded ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.data.cache_folder import SIZE_VARIABLE, VARIABLE, cache_use, clear_cache
from tests.picture_folder import load, make_folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_changed_since_is_named(tmp_path, own_cache, monkeypatch, workers):
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    make_folder(tmp_path)
    splits = load(tmp_path, "stream", workers=workers)
    for path in tmp_path.rglob("1.jpg"):
        Image.new("RGB", (30, 30)).save(path)
    with pytest.raises(InvalidInputError, match=r"/1.jpg changed while it was in use") as caught:
        list(splits.x_train.split(4))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("how", ["a file", "full"])
def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch, how, pictures):
    if how == "full" and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    place = tmp_path / "place"
    if how == "a file":
        place.write_text("")
    else:
        (place / "pixels").mkdir(parents=True)
        (place / "known").mkdir()
    monkeypatch.setenv(VARIABLE, str(place))
    splits = load(pictures, "stream")
    if how == "full":
        cache = splits.x_train.source._pixel_cache()
        path = cache._path(0)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.symlink_to("/dev/full")
    else:
        assert any("cannot be kept in" in note for note in splits.notes)
    match = "decoded pictures cannot be kept in .*; make room there, set NAS_SENS_CACHE"
    with pytest.raises(InvalidInputError, match=match) as caught:
        list(splits.x_train.split(4))
    assert "\n" not in str(caught.value)
    assert how == "a file" or not [p for p in (place / "pixels").iterdir() if p.suffix == ".u8"]


def test_a_cache_file_that_was_cut_off_is_written_anew(pictures, own_cache):
    splits, expected = load(pictures, "stream"), load(pictures, "memory")
    list(splits.x_train.split(4))
    for path in (own_cache / "pixels").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(torch.cat(list(load(pictures, "stream").x_train.split(4))), expected.x_train)


def test_the_bound_removes_what_was_used_longest_ago(tmp_path, own_cache, monkeypatch):
    folders = [make_folder(tmp_path / name, n=10 + i) for i, name in enumerate("abc")]
    parts = [load(folder, "stream").x_train for folder in folders]
    each = [x.numel() for x in parts]
    list(parts[0].split(8))
    known = cache_use()[1] - each[0]
    monkeypatch.setenv(SIZE_VARIABLE, str((known + each[0] + each[1] + 100) / 2**30))
    list(parts[1].split(8))
    files = sorted((own_cache / "pixels").iterdir(), key=lambda p: p.stat().st_mtime)
    assert len(files) == 2
    assert torch.equal(torch.cat(list(parts[2].split(8))), parts[2][:])  # no room, as both were just used
    assert len(list((own_cache / "pixels").iterdir())) == 2
    for age, path in zip((9000, 8000), files, strict=True):
        os.utime(path, (time.time() - age,) * 2)
    list(load(folders[2], "stream").x_train.split(8))
    left = {p.name for p in (own_cache / "pixels").iterdir()}
    assert files[0].name not in left
    n, total = clear_cache()
    assert n == len(left) + 3
    assert total > 0
    assert cache_use() == (0, 0)


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_a_bound_that_is_no_number_is_refused(pictures, monkeypatch, text):
    monkeypatch.setenv(SIZE_VARIABLE, text)
    with pytest.raises(InvalidInputError, match=f"{SIZE_VARIABLE} must be a number from 0"):
        load(pictures, "stream")


@pytest.mark.parametrize(("key", "value"), [("load", "stream"), ("workers", 2)])
def test_data_without_pictures_take_neither(key, value):
    with pytest.raises(InvalidInputError, match=f"data set 'digits' takes no {key}"):
        load_data(DataSpec(**{"name": "digits", key: value}))


SCRIPT = """
import gc, re, sys
from pathlib import Path
from nas_sens.data import DataSpec, load_data
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

for folder in sys.argv[2:]:  # the first one is small, and has all libraries imported
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is taken now
    before = peak()
    splits = load_data(DataSpec(name="folder:" + folder, image_size=96, load=sys.argv[1], workers=0))
    for part in (splits.x_train, splits.x_val, splits.x_test):
        for x in part.split(16):
            pass
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone tells of a peak since some moment")
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, own_cache):
    folders = [make_folder(tmp_path / name, n=12) for name in ("few", "many")]
    for name in ("cat", "dog", "eel"):
        for i in range(200):
            Image.new("RGB", (8, 8), (i, i // 2, 9)).save(folders[1] / name / f"more{i}.bmp")
    grown = {}
    for how in ("memory", "stream"):
        command = [sys.executable, "-c", SCRIPT, how, *folders]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        grown[how] = int(done.stdout)
    whole = 636 * 3 * 96 * 96  # 17.6 MB of bytes
    assert grown["memory"] > 2 * whole
    assert grown["stream"] < 1.2 * whole  # one file of the cache while it is written
