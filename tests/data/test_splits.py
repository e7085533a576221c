"""Splits: disjoint, complete, seeded, stratified, and standardised by the training set alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec
from nas_sens.data.samples import Samples, make_samples
from nas_sens.data.splits import split

SIZES = (100, 60, 40)  # samples of each class
PARTS = ("train", "val", "test")
TOLERANCE = 1e-5


def make(sizes=SIZES, n_test=0, seed=0) -> Samples:
    """Return samples whose first feature is their own number, so that rows can be followed."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    x = np.stack([np.arange(len(y)), rng.normal(5, 3, len(y)), np.full(len(y), 7.0)], axis=1)
    if not n_test:
        return make_samples(x, y, source="mine")
    x_test = np.stack([np.arange(n_test) + 10_000, np.zeros(n_test), np.zeros(n_test)], axis=1)
    return make_samples(x, y, x_test, np.arange(n_test) % len(sizes), source="mine")


def rows(splits, part):
    return splits_x(splits, part)[:, 0].long().tolist()


def splits_x(splits, part):
    return getattr(splits, f"x_{part}")


def spec(**kwargs) -> DataSpec:
    return DataSpec(name="mine", **kwargs)


def counts(y, n=3):
    return torch.bincount(y, minlength=n).tolist()


def test_parts_are_disjoint_complete_and_of_the_size_asked_for():
    s = split(make(), spec(val_fraction=0.25, test_fraction=0.1))
    assert [len(splits_x(s, p)) for p in PARTS] == [135, 45, 20]
    assert sorted(i for p in PARTS for i in rows(s, p)) == list(range(200))


def test_inputs_keep_their_labels():
    samples = make()
    s = split(samples, spec(train_samples=30, val_samples=11, test_samples=13))
    for p in PARTS:
        assert torch.equal(getattr(s, f"y_{p}"), samples.y[rows(s, p)])


def test_every_part_has_the_classes_in_proportion():
    s = split(make(), spec())
    assert counts(s.y_test) == [20, 12, 8]
    assert counts(s.y_val) == [16, 10, 6]
    assert counts(s.y_train) == [64, 38, 26]


def test_splits_are_a_function_of_the_seed_alone(same_global_rng):
    kwargs = {"train_samples": 30, "val_samples": 20, "test_samples": 20}
    a, b, c = (split(make(), spec(seed=s, **kwargs)) for s in (1, 1, 2))
    for p in PARTS:
        assert rows(a, p) == rows(b, p)
        assert rows(a, p) != rows(c, p)
    assert a.fingerprint == b.fingerprint != c.fingerprint


@pytest.mark.parametrize("n", [3, 30, 31, 32, 75])
def test_train_samples_are_class_balanced(n):
    s = split(make(), spec(train_samples=n))
    assert len(s.y_train) == n
    assert max(counts(s.y_train)) - min(counts(s.y_train)) <= 1
    full = split(make(), spec())
    assert set(rows(s, "train")) <= set(rows(full, "train"))
    assert rows(s, "val") == rows(full, "val"), "the number of training samples must not change what selection sees"
    assert rows(s, "test") == rows(full, "test")


def test_too_many_train_samples_are_refused_with_the_class_that_lacks_them():
    with pytest.raises(
        InvalidInputError, match=r"'mine': train_samples = 90 needs 30 .* class 2 has 26; lower train_samples"
    ):
        split(make(), spec(train_samples=90))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 16, 29, 30, 31, 32, 500])
def test_val_samples_are_a_stratified_part(n):
    s, full = split(make(), spec(val_samples=n)), split(make(), spec())
    assert len(s.y_val) == min(n, 32)
    assert set(rows(s, "val")) <= set(rows(full, "val"))
    share = np.array(counts(full.y_val)) * len(s.y_val) / 32
    assert np.abs(np.array(counts(s.y_val)) - share).max() <= 1
    assert rows(s, "train") == rows(full, "train")


@pytest.mark.parametrize("n", [8, 39])
def test_test_samples_are_a_stratified_part(n):
    s, full = split(make(), spec(test_samples=n)), split(make(), spec())
    assert set(rows(s, "test")) < set(rows(full, "test"))
    assert np.abs(np.array(counts(s.y_test)) - np.array(counts(full.y_test)) * n / 40).max() <= 1
    assert rows(s, "val") == rows(full, "val")


def test_subsets_are_random_not_the_first_rows():
    picked = [rows(split(make(), spec(val_samples=8, seed=s)), "val") for s in range(20)]
    full = [rows(split(make(), spec(seed=s)), "val") for s in range(20)]
    places = np.concatenate([np.searchsorted(f, p) for f, p in zip(full, picked, strict=True)])
    assert 12 < places.mean() < 19  # of 0 … 31; the first 8 rows would give 3.5


def test_the_official_test_set_is_the_test_set():
    s = split(make(n_test=30), spec(test_fraction=0.5))
    assert rows(s, "test") == list(range(10_000, 10_030))
    assert sorted(rows(s, "train") + rows(s, "val")) == list(range(200))
    assert len(split(make(n_test=30), spec(test_samples=9)).y_test) == 9


@pytest.mark.parametrize("sizes", [(20, 1), (3, 2), (1, 1)])
def test_too_few_samples_are_refused(sizes):
    with pytest.raises(
        InvalidInputError, match=r"'mine': \d+ samples cannot be split by \w+_fraction .*give more data"
    ):
        split(make(sizes), spec())


def test_raw_inputs_stay_as_they_are():
    samples = make()
    s = split(samples, spec())
    assert (s.mean, s.std) == ((), ())
    assert torch.equal(s.x_val, samples.x[rows(s, "val")])


def test_features_are_standardised_one_by_one_with_training_statistics():
    samples = make()
    raw, s = split(samples, spec(train_samples=30)), split(samples, spec(train_samples=30, standardize=True))
    train = raw.x_train.double()
    np.testing.assert_allclose(s.mean, train.mean(0))
    np.testing.assert_allclose(s.std, [*train.std(0, correction=0)[:2].tolist(), 1.0])  # the third is constant
    for p in PARTS:
        expected = (splits_x(raw, p).double() - torch.tensor(s.mean)) / torch.tensor(s.std)
        torch.testing.assert_close(splits_x(s, p).double(), expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert abs(float(s.x_train[:, 1].mean())) < TOLERANCE
    assert float(s.x_train[:, 1].std(correction=0)) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("standardize", [False, True])
def test_inputs_of_unit_norm_are_those_without_it_divided_by_their_norms(standardize):
    x = np.random.default_rng(0).random((60, 1, 3, 4)).astype(np.float32)
    x[7] = 0.0
    samples = make_samples(x, np.arange(60) % 2, source="mine")
    plain, scaled = (split(samples, spec(standardize=standardize, unit_norm=u)) for u in (False, True))
    assert (plain.mean, plain.std) == (scaled.mean, scaled.std)
    for part in ("x_train", "x_val", "x_test"):
        for before, after in zip(getattr(plain, part), getattr(scaled, part), strict=True):
            norm = math.sqrt(math.fsum(v * v for v in before.flatten().tolist()))
            np.testing.assert_allclose(after.numpy(), before.numpy() / (norm or 1.0), rtol=1e-6)


@pytest.mark.parametrize("standardize", [False, True])
def test_inputs_of_unit_variance_lie_on_the_sphere_whose_radius_is_the_root_of_their_numbers(standardize):
    x = np.random.default_rng(0).random((60, 1, 3, 4)).astype(np.float32)
    x[7] = 0.3
    samples = make_samples(x, np.arange(60) % 2, source="mine")
    plain, scaled = (split(samples, spec(standardize=standardize, unit_variance=u)) for u in (False, True))
    assert (plain.mean, plain.std) == (scaled.mean, scaled.std)
    for part in ("x_train", "x_val", "x_test"):
        for before, after in zip(getattr(plain, part), getattr(scaled, part), strict=True):
            numbers = before.flatten().tolist()
            mean = math.fsum(numbers) / 12
            sd = math.sqrt(math.fsum((v - mean) ** 2 for v in numbers) / 12)
            if sd > 1e-6:
                np.testing.assert_allclose(after.numpy(), (before.numpy() - mean) / sd, rtol=1e-4, atol=1e-5)
                assert float(after.norm()) == pytest.approx(math.sqrt(12), rel=1e-5)
            else:  # the constant one
                assert float(after.abs().max()) < 1e-5


def test_each_input_is_brought_to_one_scale_only():
    with pytest.raises(ValueError, match="unit_norm and unit_variance do not go together"):
        spec(unit_norm=True, unit_variance=True)


def test_standardising_does_not_look_at_held_out_data():
    samples = make()
    before = split(samples, spec(standardize=True))
    held_out = torch.tensor(rows(split(samples, spec()), "val") + rows(split(samples, spec()), "test"))
    x = samples.x.clone()
    x[held_out] *= 100
    after = split(replace(samples, x=x), spec(standardize=True))
    assert (after.mean, after.std) == (before.mean, before.std)
    assert torch.equal(after.x_train, before.x_train)
    assert not torch.equal(after.x_val, before.x_val)


def test_images_are_standardised_by_channel():
    rng = np.random.default_rng(0)
    x = rng.normal([1, 10], [2, 5], (60, 4, 5, 2)).transpose(0, 3, 1, 2)
    s = split(make_samples(x, np.arange(60) % 2, source="mine"), spec(standardize=True))
    assert len(s.mean) == 2
    np.testing.assert_allclose(s.x_train.mean((0, 2, 3)), [0, 0], atol=TOLERANCE)
    np.testing.assert_allclose(s.x_train.std((0, 2, 3), correction=0), [1, 1], atol=TOLERANCE)
    assert not np.allclose(s.x_train[:, :, 0, 0].std(0, correction=0), [1, 1], atol=1e-3), "standardised by pixel"


def test_fingerprint_sees_every_tensor():
    s = split(make(), spec())
    for p in PARTS:
        for name in (f"x_{p}", f"y_{p}"):
            tensor = getattr(s, name).clone()
            tensor[-1] += 1
            assert replace(s, **{name: tensor}).fingerprint != s.fingerprint, name
    assert replace(s, x_val=s.x_val.reshape(-1, 1, 3)).fingerprint != s.fingerprint


def test_shapes_moments_and_moving(digits):
    assert digits.input_shape == (1, 8, 8)
    expected = np.mean(digits.x_val.numpy().astype(np.float64) ** 2)
    assert digits.input_second_moment == pytest.approx(expected, rel=1e-12)
    moved = digits.to("meta")
    assert moved.x_train.is_meta
    assert moved.y_test.is_meta
    assert digits.to("cpu").fingerprint == digits.fingerprint
