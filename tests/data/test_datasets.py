"""The shipped data sets, and torchvision's from small fake files laid out as torchvision expects. No network."""

from __future__ import annotations

import hashlib
import pickle
import struct
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision import datasets

from nas_sens.core.errors import InvalidInputError, NasSensError
from nas_sens.data import DataSpec, dataset_names, load_data

RNG = np.random.default_rng(0)
TOLERANCE = 1e-7
PARTS = ("train", "val", "test")


def test_names_and_descriptions():
    names = dataset_names()
    assert {"digits", "mnist5k", "mnist", "fashion_mnist", "cifar10", "cifar100", "npz"} <= set(names)
    assert "splits" not in names
    assert all(text.endswith(".") for text in names.values())


@pytest.mark.parametrize(("name", "hint"), [("mnits", "did you mean 'mnist'"), ("splits", "unknown data set")])
def test_unknown_names_are_refused(name, hint):
    with pytest.raises(InvalidInputError, match=hint):
        load_data(DataSpec(name=name))


def test_an_argument_where_none_is_taken_is_refused():
    with pytest.raises(InvalidInputError, match="'digits' is written 'digits'; given 'digits:8'"):
        load_data(DataSpec(name="digits:8"))


def test_digits_are_those_of_scikit_learn_in_0_to_1():
    s = load_data(DataSpec(name="digits"))
    assert [len(getattr(s, f"x_{p}")) for p in PARTS] == [1149, 288, 360]
    x = torch.cat([s.x_train, s.x_val, s.x_test])
    assert (x.min(), x.max(), s.n_outputs, s.input_shape) == (0, 1, 10, (1, 8, 8))
    bunch = load_digits()
    mine = sorted(
        (v.numpy().tobytes(), int(y)) for v, y in zip(x, torch.cat([s.y_train, s.y_val, s.y_test]), strict=True)
    )
    theirs = sorted(
        ((v / 16).astype(np.float32).tobytes(), int(y)) for v, y in zip(bunch.images, bunch.target, strict=True)
    )
    assert mine == theirs


def test_mnist5k():
    s = load_data(DataSpec(name="mnist5k", train_samples=1000))
    assert [len(getattr(s, f"x_{p}")) for p in PARTS] == [1000, 800, 1000]
    assert torch.bincount(s.y_train).tolist() == [100] * 10
    assert torch.bincount(s.y_val).tolist() == [80] * 10
    assert s.input_shape == (1, 28, 28)
    assert (s.x_train.min(), s.x_train.max()) == (0, 1)
    assert 0.1 < float(s.x_train.mean()) < 0.16  # MNIST's mean grey value is 0.1307


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_and_fashion_mnist(tmp_path, name, folder):
    images = {t: RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8) for t, n in (("train", 40), ("t10k", 20))}
    labels = {t: (np.arange(len(v)) % 10).astype(np.uint8) for t, v in images.items()}
    for t in images:
        write_idx(tmp_path / folder / "raw" / f"{t}-images-idx3-ubyte", images[t])
        write_idx(tmp_path / folder / "raw" / f"{t}-labels-idx1-ubyte", labels[t])
    s = load_data(DataSpec(name=name, root=str(tmp_path), val_fraction=0.5))
    np.testing.assert_allclose(s.x_test[:, 0], images["t10k"] / 255, atol=TOLERANCE)
    assert s.y_test.tolist() == labels["t10k"].tolist()
    seen = np.concatenate([s.x_train, s.x_val])[:, 0]
    np.testing.assert_allclose(np.sort(seen, axis=0), np.sort(images["train"] / 255, axis=0), atol=TOLERANCE)


def write_pickle(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


@pytest.mark.parametrize(
    ("name", "cls", "key", "n_outputs"),
    [("cifar10", datasets.CIFAR10, "labels", 10), ("cifar100", datasets.CIFAR100, "fine_labels", 100)],
)
def test_cifar(tmp_path, monkeypatch, name, cls, key, n_outputs):
    folder = tmp_path / cls.base_folder
    images = {part: RNG.integers(0, 256, (2 * n_outputs, 3, 32, 32), dtype=np.uint8) for part in ("train", "test")}
    labels = [i % n_outputs for i in range(2 * n_outputs)]
    for part in images:
        content = {"data": images[part].reshape(-1, 3072), key: labels}
        entry = write_pickle(folder / f"{part}_batch", content)
        monkeypatch.setattr(cls, f"{part}_list", [entry])
    names = {cls.meta["key"]: [str(i) for i in range(n_outputs)]}
    filename, md5 = write_pickle(folder / "fake.meta", names)
    monkeypatch.setattr(cls, "meta", {**cls.meta, "filename": filename, "md5": md5})
    s = load_data(DataSpec(name=name, root=str(tmp_path), val_fraction=0.5))
    assert s.n_outputs == n_outputs
    np.testing.assert_allclose(s.x_test, images["test"] / 255, atol=TOLERANCE)  # channels first
    assert s.y_test.tolist() == labels
    assert torch.bincount(s.y_val).tolist() == [1] * n_outputs


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_missing_files_say_what_to_do(tmp_path, name):
    with pytest.raises(
        InvalidInputError, match=f"data '{name}' is not in the folder .*set root in .* or download = true"
    ):
        load_data(DataSpec(name=name, root=str(tmp_path)))


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("no route"), OSError("no route")])
def test_a_failed_download_is_no_mistake_of_the_users(tmp_path, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets.MNIST, "__init__", fail)
    with pytest.raises(NasSensError, match=r"'mnist' could not be downloaded into .*no route") as caught:
        load_data(DataSpec(name="mnist", root=str(tmp_path), download=True))
    assert not isinstance(caught.value, InvalidInputError)
