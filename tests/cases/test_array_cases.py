"""Archives of arrays as people have them: what is read of each, what is said of it, or the one line that refuses it."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data, read_samples

N = 24
R = np.random.default_rng(0)
X = R.random((N, 5)).astype(np.float32)
Y = np.arange(N) % 2
THREE = np.arange(N) % 3


def pixels(*shape, dtype=np.uint8, high=254):
    values = R.integers(0, high, (N, *shape))
    values.flat[0] = high
    return values.astype(dtype)


@dataclass(frozen=True)
class Read:
    """An archive that is read: inputs, labels, names of the classes and all that is said."""

    id: str
    arrays: dict[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray = field(default_factory=lambda: Y)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    spec: dict[str, Any] = field(default_factory=dict)


SQUARE, WIDE, BANDS = pixels(8, 8, 3), pixels(3, 6, 10), pixels(16, 16, 13)
WORDS = np.array(["cat", "dog"])[Y]
GREY, CHANNELS, SEQUENCES = pixels(8, 8), pixels(2, 6, 6), R.random((N, 50, 6)).astype(np.float32)
LARGE = (1.6e9 + np.arange(N)[:, None] * np.ones(2)).astype(np.float64)
FLOATS = pixels(1, 8, 8).astype(np.float32)
F8 = GREY.astype(np.float32) - 100
NUMBERED = "are numbered from 0"

READ = [
    Read("features", {"x": X, "y": Y}, X),
    Read("N5-X-Y", {"X": X, "Y": Y}, X),
    Read("other-names", {"data": X, "target": Y}, X),
    Read("others-left-out", {"x": X, "y": Y, "ids": Y, "sha": Y}, X, notes=("arrays left out: ids, sha",)),
    Read("grey", {"x": GREY, "y": Y}, GREY[:, None] / 255),
    Read("N5-channels-last", {"x": SQUARE, "y": Y}, SQUARE.transpose(0, 3, 1, 2) / 255),
    Read("channels-first", {"x": WIDE, "y": Y}, WIDE / 255),
    Read("N1-bands-last", {"x": BANDS, "y": Y}, BANDS.transpose(0, 3, 1, 2) / 255, notes=("16×16 pixels with 13 channels, which stand last",)),
    Read("N1-bands-first", {"x": BANDS.transpose(0, 3, 1, 2), "y": Y}, BANDS.transpose(0, 3, 1, 2) / 255,
         notes=("16×16 pixels with 13 channels, which stand first",)),
    Read("N1-layout-said", {"x": BANDS, "y": Y}, BANDS / 255, spec={"layout": "nchw"}),
    Read("two-channels", {"x": CHANNELS, "y": Y}, CHANNELS / 255, notes=("6×6 pixels with 2 channels",)),
    Read("sequences-first", {"x": SEQUENCES, "y": Y}, SEQUENCES, spec={"layout": "ncl"}),
    Read("sequences-last", {"x": SEQUENCES, "y": Y}, SEQUENCES.transpose(0, 2, 1), spec={"layout": "nlc"}),
    Read("whole-numbers-of-64-bits", {"x": GREY.astype(np.int64), "y": Y}, GREY[:, None] / 255, notes=("int64.* divided by 255",)),
    Read("whole-numbers-of-16-bits", {"x": pixels(8, 8, dtype=np.uint16, high=4095), "y": Y}, np.empty(0), notes=("uint16.* divided by 65,535",)),
    Read("whole-numbers-below-0", {"x": GREY.astype(np.int16) - 100, "y": Y}, GREY[:, None] - 100.0, notes=("taken as they are",)),
    Read("float-series-that-are-square", {"x": F8, "y": Y}, F8[:, None], notes=("taken for grey pictures of 8×8 pixels; for sequences",)),
    Read("N5-floats-to-255", {"x": FLOATS, "y": Y}, FLOATS, notes=("floats from 0 to 254 that are taken as they are",)),
    Read("N5-labels-from-1", {"x": X, "y": THREE + 1}, X, THREE, ("1", "2", "3"), (NUMBERED,)),
    Read("N5-plus-and-minus", {"x": X, "y": 2 * Y - 1}, X, Y, ("-1", "1"), (NUMBERED,)),
    Read("0-and-255", {"x": X, "y": 255 * Y}, X, Y, ("0", "255"), (NUMBERED,)),
    Read("N5-one-hot", {"x": X, "y": np.eye(3)[THREE]}, X, THREE, (), ("labels of 3 one-hot columns",)),
    Read("N5-column", {"x": X, "y": Y[:, None]}, X),
    Read("whole-floats", {"x": X, "y": Y.astype(np.float64)}, X),
    Read("N5-truth", {"x": X, "y": Y == 1}, X, Y, ("False", "True")),
    Read("N5-text", {"x": X, "y": WORDS}, X, Y, ("cat", "dog")),
    Read("bytes", {"x": X, "y": WORDS.astype("S")}, X, Y, ("cat", "dog")),
    Read("unsigned", {"x": X, "y": Y.astype(np.uint64)}, X),
    Read("large-values", {"x": LARGE, "y": Y}, LARGE, notes=("large beside their differences",)),
]  # fmt: skip


@pytest.mark.parametrize("case", READ, ids=lambda c: c.id)
def test_what_is_read(case, tmp_path):
    np.savez(tmp_path / "a.npz", **case.arrays)
    spec = DataSpec(name=f"npz:{tmp_path / 'a.npz'}", **case.spec)
    samples = read_samples(spec)
    x = case.x if case.x.size else case.arrays["x"][:, None] / 65535
    np.testing.assert_allclose(samples.x, x, rtol=1e-6, atol=1e-7)
    assert samples.y.tolist() == np.asarray(case.y).tolist()
    assert samples.class_names == case.classes
    splits = load_data(spec)
    assert len(splits.notes) == len(case.notes), splits.notes
    for note, said in zip(case.notes, splits.notes, strict=True):
        assert re.search(note, said), splits.notes
    assert (splits.x_train.dtype, splits.y_train.dtype) == (torch.float32, torch.int64)


SETS = {
    "N3-keras": ("x_train y_train x_val y_val x_test y_test", Y),
    "medmnist": ("train_images train_labels val_images val_labels test_images test_labels", Y[:, None]),
    "upper-case": ("X_train Y_train X_valid Y_valid X_test Y_test", Y),
    "long-names": (
        "inputs_training targets_training inputs_validation targets_validation inputs_testing targets_testing",
        WORDS,
    ),
}


@pytest.mark.parametrize("id", SETS)
def test_all_parts_are_taken(id, tmp_path):
    names, y = SETS[id]
    names = names.split()
    parts = {n: (X + i // 2 if i % 2 == 0 else y) for i, n in enumerate(names)}
    np.savez(tmp_path / "a.npz", **parts)
    s = load_data(DataSpec(name=f"npz:{tmp_path / 'a.npz'}"))
    for i, part in enumerate(("train", "val", "test")):
        np.testing.assert_allclose(getattr(s, f"x_{part}"), X + i)
        assert getattr(s, f"y_{part}").tolist() == Y.tolist()
    assert not s.notes


REFUSED = [
    ("labels-with-gaps", {"x": X, "y": 2 * THREE}, {}, "0 to 2, each at least once; given up to 4, but none is 1; number the 3 classes .*numpy.unique"),
    ("a-label-of-ten-million", {"x": X, "y": np.where(np.arange(N) == 3, 10**7, THREE)}, {}, "given up to 10000000, but none is 3; number"),
    ("identifiers", {"x": X, "y": np.arange(N) + 10**12}, {}, "holds 24 different labels in 24 samples, too many for classes"),
    ("text-identifiers", {"x": X, "y": np.array([f"id{i}" for i in range(N)])}, {}, "24 different labels"),
    ("no-label-is-minus-1", {"x": X, "y": THREE - 1}, {}, "labels from 0 upwards; given -1"),
    ("soft-labels", {"x": X, "y": np.full((N, 2), 0.5)}, {}, r"rows that are not one 1 among zeros; take y.argmax\(1\)"),
    ("quantities", {"x": X, "y": X[:, 0]}, {}, 'integer class labels; given .*task = "regression"'),
    ("huge-floats", {"x": X, "y": np.where(Y == 1, 1e300, 0.0)}, {}, r"integer class labels; given 1e\+300"),
    ("unknown-in-test", {"x_train": X, "y_train": WORDS, "x_test": X, "y_test": np.full(N, "bird")}, {}, "y_test: the label 'bird' is none of those in training"),
    ("cube", {"x": pixels(6, 6, 6), "y": Y}, {}, 'could be pictures of 6×6 pixels with 6 channels or .* set layout in .data.: "nchw"'),
    ("series", {"x": SEQUENCES, "y": Y}, {}, 'grey pictures or sequences; set layout .*"ncl" for sequences'),
    ("layout-of-other-axes", {"x": X, "y": Y}, {"layout": "nchw"}, "must have 4 axes for layout = 'nchw'; given"),
    ("N5-video", {"x": R.random((N, 4, 3, 8, 8)), "y": Y}, {}, "2 to 4 axes; given"),
    ("N5-objects", {"x": X, "y": np.array([None] * N)}, {}, "without pickles"),
    ("N5-empty-test", {"x_train": X, "y_train": Y, "x_test": X[:0], "y_test": Y[:0]}, {}, r"x_test must be .* given \(0, 5\)"),
    ("N5-test-without-labels", {"x_train": X, "y_train": Y, "x_test": X}, {}, "x_test and y_test must be given together; given only x_test"),
    ("N3-val-without-labels", {"x_train": X, "y_train": Y, "x_val": X}, {}, "x_val and y_val must be given together"),
    ("complex", {"x": X * 1j, "y": Y}, {}, "x must hold numbers; given an array of type complex64"),
    ("beyond-float32", {"x": np.where(X > 0.5, 1e200, 0.0), "y": Y}, {}, "x must be finite"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "spec", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_what_is_refused(arrays, spec, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load_data(DataSpec(name=f"npz:{tmp_path / 'a.npz'}", **spec))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1000


def member(x, **changes):
    """Return a .npy file whose header says something else than what lies in it."""
    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(x.dtype), "fortran_order": False, "shape": x.shape} | changes
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + x.tobytes()


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def encrypted(path):
    """Write an archive whose members say that they are encrypted."""
    content = bytearray(archive(path, {"x": member(X), "y": member(Y)}).read_bytes())
    for i in range(len(content) - 4):
        if content[i : i + 4] == b"PK\x01\x02":
            content[i + 8] |= 1
        if content[i : i + 4] == b"PK\x03\x04":
            content[i + 6] |= 1
    path.write_bytes(bytes(content))


def cut_lzma(path):
    content = bytearray(archive(path, {"x": member(X), "y": member(Y)}, zipfile.ZIP_LZMA).read_bytes())
    content[60:120] = bytes(60)
    path.write_bytes(bytes(content))


DAMAGED = {
    "a-shape-beyond-memory": lambda p: archive(p, {"x": member(X, shape=(10**12, 5)), "y": member(Y)}),
    "a-shape-beyond-64-bits": lambda p: archive(p, {"x": member(X, shape=(10**30, 5)), "y": member(Y)}),
    "no-shape": lambda p: archive(p, {"x": member(X, shape="five"), "y": member(Y)}),
    "no-type": lambda p: archive(p, {"x": member(X, descr="nonsense"), "y": member(Y)}),
    "no-header": lambda p: archive(p, {"x": b"\x93NUMPY\x01\x00\xff\xff{", "y": member(Y)}),
    "a-header-that-is-code": lambda p: archive(p, {"x": member(X).replace(b"False", b"1/0  "), "y": member(Y)}),
    "an-unknown-version": lambda p: archive(p, {"x": b"\x93NUMPY\x09\x00" + bytes(50), "y": member(Y)}),
    "no-array": lambda p: archive(p, {"x": b"hello", "y": member(Y)}),
    "encrypted": encrypted,
    "lzma": cut_lzma,
}


@pytest.mark.parametrize("id", DAMAGED)
def test_damaged_archives_are_refused_in_one_line(id, tmp_path):
    DAMAGED[id](tmp_path / "a.npz")
    with pytest.raises(InvalidInputError, match=r"npz:.*(cannot be read|is damaged)") as caught:
        load_data(DataSpec(name=f"npz:{tmp_path / 'a.npz'}"))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 1000


def test_an_array_that_decompresses_to_a_thousand_times_its_size_is_refused(tmp_path):
    x = np.zeros((2, 2**28), dtype=np.uint8)  # 512 MiB of zeros in half a MiB
    path = archive(tmp_path / "bomb.npz", {"x": member(x), "y": member(np.arange(2))}, zipfile.ZIP_DEFLATED)
    with pytest.raises(
        InvalidInputError, match=r"decompresses to 536,\d+,\d+, more than the 0.25 GiB .*NAS_SENS_MAX_DATA_GIB"
    ):
        load_data(DataSpec(name=f"npz:{path}"))


def test_arrays_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    monkeypatch.setenv("NAS_SENS_MAX_DATA_GIB", "0.0000001")
    with pytest.raises(InvalidInputError, match="NAS_SENS_MAX_DATA_GIB"):
        load_data(DataSpec(name=f"npz:{tmp_path / 'a.npz'}"))


def test_whole_numbers_of_all_parts_are_divided_by_the_same(tmp_path):
    x = GREY.astype(np.int64)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=Y, x_test=x * 16, y_test=Y, x_val=x % 2, y_val=Y)
    samples = read_samples(DataSpec(name=f"npz:{tmp_path / 'a.npz'}"))
    for part, values in ((samples.x, x), (samples.x_test, x * 16), (samples.x_val, x % 2)):
        np.testing.assert_allclose(part[:, 0], values / 65535, rtol=1e-6)


def test_pictures_that_are_in_training_and_test_are_told(tmp_path):
    other = GREY.copy()
    other[5:, 0, 0] ^= 255
    np.savez(tmp_path / "a.npz", x_train=GREY, y_train=Y, x_test=other, y_test=Y)
    samples = read_samples(DataSpec(name=f"npz:{tmp_path / 'a.npz'}"))
    assert samples.notes == ("5 of 24 test pictures are in the training set, too: x_test[0] = x_train[0]",)
