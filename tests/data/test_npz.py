"""npz:PATH: arrays of one's own, and what is said when they cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data

X = np.random.default_rng(0).random((40, 3))
Y = np.arange(40) % 2


def load(path, **kwargs):
    return load_data(DataSpec(name=f"npz:{path}", **kwargs))


def test_x_and_y(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    s = load(tmp_path / "a.npz")
    assert [len(v) for v in (s.x_train, s.x_val, s.x_test)] == [25, 7, 8]
    assert s.n_outputs == 2
    seen = np.concatenate([s.x_train, s.x_val, s.x_test])
    np.testing.assert_array_equal(np.sort(seen, axis=0), np.sort(X.astype(np.float32), axis=0))


def test_a_test_set_in_the_archive_is_the_test_set(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:5] + 1, y_test=Y[:5])
    s = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(s.x_test, (X[:5] + 1).astype(np.float32))
    assert len(s.x_train) + len(s.x_val) == 40


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    assert load("~/a.npz").n_outputs == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "missing y, given x"),
        ({"y": Y}, "missing x, given y"),
        ({"a": X, "b": Y}, "x and y, or x_train and y_train .* missing x, y, given a, b"),
        ({"x": X, "y": Y, "images": X}, "the arrays x and images would both be x"),
        ({"x_train": X, "y": Y}, "missing y_train, given x_train, y"),
        ({"x": X, "y": Y, "x_test": X}, "x_test and y_test must be given together"),
        ({"x": X, "y": Y[:-1]}, "y must have one label for each of 40 inputs"),
        ({"x": X, "y": np.array([None] * 40)}, "cannot be read as a NumPy archive without pickles"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "y_test must be labels from 0 to 1 as in training; given 2"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(InvalidInputError, match=message) as caught:
        load(path)
    assert f"npz:{path}" in str(caught.value)


def test_wrong_files_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("hello")
    np.savez_compressed(tmp_path / "damaged.npz", x=X, y=Y)
    content = bytearray((tmp_path / "damaged.npz").read_bytes())
    for i in range(200, 500):
        content[i] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(bytes(content))
    for name in ("none.npz", "one.npy", "empty.npz", "text.npz", "damaged.npz", "."):
        with pytest.raises(InvalidInputError, match="npz:"):
            load(tmp_path / name)


def test_labels_without_gaps_and_a_sample_of_every_class(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=2 * (np.arange(40) % 3))
    with pytest.raises(InvalidInputError, match="none is 1; number the 3 classes from 0 to 2"):
        load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", x=X, y=Y)
    with pytest.raises(InvalidInputError, match="at least 1 for each of the 2 classes; given 1"):
        load(tmp_path / "b.npz", train_samples=1)


@pytest.mark.parametrize("name", ["npz", "npz:"])
def test_a_path_is_required(name):
    with pytest.raises(InvalidInputError, match="data set 'npz' is written 'npz:PATH'"):
        load_data(DataSpec(name=name))
