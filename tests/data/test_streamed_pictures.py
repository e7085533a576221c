"""Pictures that stay in their files: the same numbers, trainings and scores as in memory, and what can go wrong."""

from __future__ import annotations

import os
import subprocess
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import nas_sens as ns
from nas_sens.data import DataSpec, load_data
from nas_sens.data.cache_folder import SIZE_VARIABLE, cache_use
from nas_sens.data.picture_stream import PictureStream
from nas_sens.data.pictures import Pictures, in_memory, mean_and_std
from nas_sens.data.pixel_sources import InMemory
from nas_sens.data.shared import open_shared, share
from nas_sens.scoring.probe import probe_inputs
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.training.trainer import train
from tests.picture_folder import load, make_folder

PARTS = ("train", "val", "test")


def as_bytes(splits: ns.Splits) -> ns.Splits:
    """Return splits of a folder whose pictures are bytes in memory, as those of a large folder would be."""
    parts = {}
    for part in PARTS:
        x = getattr(splits, f"x_{part}")
        parts[f"x_{part}"] = in_memory((x * 255).round().byte().numpy())
    return replace(splits, **parts)


# The same numbers.


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"standardize": True},
        {"unit_norm": True},
        {"unit_variance": True},
        {"standardize": True, "unit_norm": True, "seed": 4},
        {"image_size": (5, 9), "train_samples": 9, "val_samples": 4, "test_samples": 3},
    ],
    ids=str,
)
def test_a_stream_has_the_numbers_that_memory_has(tmp_path, options, mode):
    make_folder(tmp_path, mode=mode)
    there, streamed = load(tmp_path, "memory", **options), load(tmp_path, "stream", **options)
    assert isinstance(streamed.x_train, Pictures)
    assert isinstance(there.x_train, torch.Tensor)
    for part in PARTS:
        x, y = getattr(there, f"x_{part}"), getattr(there, f"y_{part}")
        given = getattr(streamed, f"x_{part}")
        assert torch.equal(given[:], x)
        assert torch.equal(torch.cat(list(given.split(4))), x)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
        assert torch.equal(torch.cat(list(given.batches(order, 5))), x[order])
        assert torch.equal(getattr(streamed, f"y_{part}"), y)
    assert there.content == streamed.content != ""
    assert streamed.input_shape == there.input_shape
    assert streamed.input_second_moment == there.input_second_moment
    assert np.allclose(streamed.mean, there.mean, rtol=1e-14)
    assert np.allclose(streamed.std, there.std, rtol=1e-14)


TRAININGS = {
    "plain": {},
    "augmented": {"augmentation": ("flip", "translation"), "transforms": ({"name": "RandomErasing", "p": 0.5},)},
    "some samples, noisy": {"samples": 11, "label_noise": 0.2, "stop_train_error": 0.0},
    "measured": {"metrics": ("jacobian_norm",), "metrics_on": "both", "metrics_inputs": 5, "recordings": ("points",)},
    "all at once": {"batch_size": "full", "temperature_scaling": True},
}


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("standardize", [False, True])
def test_trainings_are_the_same_in_memory_as_bytes_and_streamed(pictures, name, standardize):
    there = load(pictures, "memory", standardize=standardize)
    spec = ns.TrainSpec(**{"epochs": 2, "batch_size": 8, "seeds": 1} | TRAININGS[name])
    network = ns.CNNSpec(depth=1, channels=4, init="he_normal")
    streamed = load(pictures, "stream", standardize=standardize)
    outcomes = [train(network, splits, spec, seed=5) for splits in (there, streamed)]
    if not standardize:
        outcomes.append(train(network, as_bytes(there), spec, seed=5))
    for outcome in outcomes[1:]:
        for f in fields(outcome):
            if f.name not in ("seconds", "state", "records"):
                assert repr(getattr(outcome, f.name)) == repr(getattr(outcomes[0], f.name)), f.name  # NaN is NaN
        for key, weights in outcomes[0].state.items():
            assert torch.equal(outcome.state[key], weights)


@pytest.mark.parametrize("inputs", ["validation", "train", "gaussian"])
def test_what_is_scored_with_is_the_same(pictures, inputs):
    spec = ScoreSpec(inputs=inputs, n_inputs=6, seeds=1)
    (a, labels), (b, same) = (probe_inputs(load(pictures, how), spec, seed=3) for how in ("memory", "stream"))
    torch.testing.assert_close(a, b, rtol=0, atol=0 if inputs != "gaussian" else 1e-6)
    assert (labels is None) == (inputs == "gaussian")
    assert labels is None or torch.equal(labels, same)


def test_all_of_a_set_may_be_scored_with(pictures):
    spec = ScoreSpec(inputs="validation", n_inputs=1000, seeds=1)
    x, _ = probe_inputs(load(pictures, "stream"), spec, seed=3)
    assert torch.equal(x, load(pictures, "memory").x_val)


def test_processes_that_decode_give_the_same(pictures, own_cache, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    streamed = load(pictures, "stream", workers=2)
    expected = load(pictures, "memory").x_train
    for seed in range(2):  # they stay from epoch to epoch
        order = torch.randperm(len(expected), generator=torch.Generator().manual_seed(seed))
        state = torch.get_rng_state()
        assert torch.equal(torch.cat(list(streamed.x_train.batches(order, 6))), expected[order])
        assert torch.equal(torch.get_rng_state(), state)
    assert "decoded anew in every epoch" in streamed.notes[0]
    assert cache_use()[0] == 1  # what was read of the files, and no pixels


def test_pictures_are_used_as_a_tensor_is(pictures):
    x, expected = load(pictures, "stream").x_val, load(pictures, "memory").x_val
    assert (len(x), x.shape, x.ndim, x.size(0), x.numel(), x.dtype) == (
        *(len(expected), expected.shape, 4, len(expected), expected.numel()), torch.float32,
    )  # fmt: skip
    mask = torch.arange(len(x)) % 2 == 0
    for rows in (slice(1, 4), slice(None, None, 2), [3, 0], torch.tensor([2, 2]), mask, np.array([1]), [-1]):
        assert torch.equal(x[rows], expected[rows])
    assert torch.equal(x[-1], expected[-1])
    assert torch.equal(torch.stack(list(x)), expected)
    with pytest.raises(IndexError):
        x[len(x)]
    assert torch.equal(x.select([4, 1, 2]).select([2, 0])[:], expected[[2, 4]])
    batches = DataLoader(TensorDataset(x, torch.arange(len(x))), batch_size=3)
    assert torch.equal(torch.cat([xs for xs, _ in batches]), expected)
    low, high = x.bounds()
    assert low <= float(expected.min()) < float(expected.max()) <= high


def test_bytes_in_memory_are_the_floats_that_were_kept_before():
    raw = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    x, expected = in_memory(raw), torch.from_numpy(raw.astype(np.float32)).div_(255.0)
    assert torch.equal(x[:], expected)
    for found, wanted in zip(mean_and_std(x), mean_and_std(expected), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


def test_bytes_in_memory_have_the_fingerprint_of_floats_and_are_shared(pictures, tmp_path):
    there = load(pictures, "memory")
    raw = as_bytes(there)
    assert raw.fingerprint == there.fingerprint
    again = open_shared(share(replace(raw, x_val=replace(raw.x_val, mean=(0.5,) * 3, std=(2.0,) * 3)), tmp_path))
    assert isinstance(again.x_train.source, InMemory)
    assert torch.equal(again.x_train[:], there.x_train)
    assert torch.equal(again.x_val[:], (there.x_val - 0.5) / 2)


def test_large_pictures_in_memory_stay_bytes(tmp_path):
    brightness = np.arange(6, dtype=np.uint8) * 51
    x = np.broadcast_to(brightness[:, None, None], (6, 3000, 1000))  # 18 million numbers
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(6) % 2, x_test=x, y_test=np.arange(6) % 2)
    splits = load_data(DataSpec(name=f"npz:{tmp_path / 'x.npz'}", val_fraction=0.4, standardize=True))
    assert isinstance(splits.x_train, Pictures)
    assert sorted(splits.x_test[:].amax((1, 2, 3)).mul(splits.std[0]).add(splits.mean[0]).tolist()) == pytest.approx(
        [0, 0.2, 0.4, 0.6, 0.8, 1], abs=1e-6
    )
    assert abs(float(splits.x_train[:].double().mean())) < 1e-6
    assert float(splits.x_train[:].double().std(correction=0)) == pytest.approx(1, abs=1e-6)


# Only what is needed is decoded.


def reads_of(splits: ns.Splits) -> list[int]:
    """Return a list to which the number of every picture is added that is decoded from here on."""
    found: list[int] = []
    stored = splits.x_train.source.stored

    class Counting:
        def __getattr__(self, name):
            return getattr(stored.encoded, name)

        def read(self, i):
            found.append(i)
            return stored.encoded.read(i)

    for part in PARTS:
        source = getattr(splits, f"x_{part}").source
        source.stored = replace(stored, encoded=Counting())
    return found


def test_scoring_decodes_its_inputs_alone(pictures, own_cache):
    splits = load(pictures, "stream")
    decoded = reads_of(splits)
    probe_inputs(splits, ScoreSpec(n_inputs=4, seeds=1), seed=0)
    assert len(decoded) == 4


def test_training_decodes_its_samples_once(pictures, own_cache):
    splits = load(pictures, "stream", train_samples=6, val_samples=3, test_samples=5)
    decoded = reads_of(splits)
    spec = ns.TrainSpec(epochs=3, batch_size=4, seeds=1)
    train(ns.FCSpec(depth=1, width=4, init="he_normal"), splits, spec, seed=0)
    assert len(decoded) == len(set(decoded)) == 14
    train(ns.FCSpec(depth=1, width=4, init="he_normal"), load(pictures, "stream", train_samples=6), spec, seed=1)
    assert len(decoded) == 14


def test_a_folder_that_was_looked_at_is_not_read_again_unless_it_changed(tmp_path, own_cache):
    make_folder(tmp_path / "p")
    first = load(tmp_path / "p", "stream")
    times = {p: p.stat().st_atime_ns for p in (tmp_path / "p").rglob("*.*")}
    for path in times:  # what is opened would be refused
        path.chmod(0)
    if os.geteuid() != 0:
        assert load(tmp_path / "p", "stream").content == first.content
    for path in times:
        path.chmod(0o644)
    Image.new("RGB", (20, 20), "red").save(tmp_path / "p" / "cat" / "0.png")
    assert load(tmp_path / "p", "stream").content != first.content


def test_a_copy_elsewhere_has_the_same_content_and_the_same_cache(tmp_path, own_cache):
    make_folder(tmp_path / "a")
    subprocess.run(["cp", "-r", tmp_path / "a", tmp_path / "b"], check=True)
    first, second = (load(tmp_path / name, "stream") for name in "ab")
    assert first.fingerprint == second.fingerprint
    list(first.x_train.split(7))
    decoded = reads_of(second)
    list(second.x_train.split(7))
    assert decoded == []


def test_the_original_picture_is_at_hand(tmp_path):
    make_folder(tmp_path)
    picture = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    picture.save(tmp_path / "cat" / "0.png", exif=exif)
    source = load(tmp_path, "stream").x_train.source
    whole = PictureStream(source.stored, np.arange(len(source.stored.encoded)), workers=0)
    found = whole.original(0)
    assert (found.size, found.mode, found.getpixel((0, 0))) == ((20, 40), "RGB", (255, 0, 0))


# The choice.


def test_auto_streams_what_is_large(tmp_path):
    make_folder(tmp_path, n=10, classes=("a", "b"))
    assert isinstance(load(tmp_path, "auto").x_train, torch.Tensor)
    assert isinstance(load(tmp_path, "auto", image_size=1060).x_train, Pictures)  # 20 × 3.37 MB
    assert isinstance(load(tmp_path, "auto", image_size=1050).x_train, (torch.Tensor, Pictures))
    assert not load(tmp_path, "auto", image_size=1050).is_streamed
