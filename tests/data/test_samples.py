"""Raw arrays: layouts, scaling, and every kind of unusable data with a message that helps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.data.samples import make_samples

Y = np.array([0, 1, 2, 1])
TOLERANCE = 1e-7


def numbers(*shape, dtype=np.float64):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 6), (6,)),
        ((4, 5, 6), (1, 5, 6)),
        ((4, 5, 6, 3), (3, 5, 6)),
        ((4, 5, 6, 1), (1, 5, 6)),
        ((4, 3, 5, 6), (3, 5, 6)),
        ((4, 3, 5, 5), (3, 5, 5)),
        ((4, 5, 5, 7), (7, 5, 5)),
        ((4, 1, 5, 4), (1, 5, 4)),
        ((4, 2, 5, 6), (2, 5, 6)),
    ],
)
def test_layouts(shape, expected):
    x = numbers(*shape)
    samples = make_samples(x, Y, source="mine")
    assert tuple(samples.x.shape[1:]) == expected
    assert (samples.x.dtype, samples.y.dtype, samples.n_outputs) == (torch.float32, torch.int64, 3)
    if len(shape) == 4 and expected != shape[1:]:
        x = np.moveaxis(x, 3, 1)
    np.testing.assert_array_equal(samples.x.numpy().reshape(4, -1), x.reshape(4, -1))
    assert samples.y.tolist() == Y.tolist()
    assert samples.x_test is None


def test_byte_images_are_scaled_and_nothing_else_is():
    images = numbers(4, 2, 3, dtype=np.uint8) * 10
    before = images.copy()
    np.testing.assert_allclose(make_samples(images, Y, source="a").x[:, 0], images / 255, atol=TOLERANCE)
    assert (images == before).all(), "the caller's array was altered"
    for untouched in (images.astype(float), images.reshape(4, 6), images.reshape(4, 6).astype(np.int32)):
        x = make_samples(untouched, Y, source="a").x
        np.testing.assert_array_equal(x.flatten(), untouched.flatten())


def test_labels_may_be_whole_floats():
    assert make_samples(numbers(4, 2), Y.astype(np.float32), source="a").y.tolist() == Y.tolist()


def test_official_test_set():
    samples = make_samples(numbers(4, 2), Y, numbers(2, 2) + 50, np.array([2, 0]), source="a")
    assert samples.x_test.tolist() == [[50, 51], [52, 53]]
    assert samples.y_test.tolist() == [2, 0]


NAN, INF = np.full((4, 2), np.nan), np.full((4, 2), np.inf)
GOOD = numbers(4, 2)


@pytest.mark.parametrize(
    ("x", "y", "test", "message"),
    [
        (NAN, Y, (), "mine: x must be finite, but holds NaN or infinity; clean or impute"),
        (INF, Y, (), "mine: x must be finite"),
        (np.array([["a", "b"]] * 4), Y, (), "mine: x must hold numbers; given an array of type <U1"),
        (np.arange(4.0), Y, (), "mine: x must be .* 2 to 4 axes; given"),
        (np.zeros((4, 0)), Y, (), r"mine: x must be .*given \(4, 0\)"),
        (np.zeros((0, 3)), np.zeros(0, int), (), r"mine: x must be .*given \(0, 3\)"),
        (GOOD, Y[:3], (), r"mine: y must have one label for each of 4 inputs, shape \(4,\); given \(3,\)"),
        (GOOD, np.ones((4, 4), dtype=int), (), r"mine: y must have one label .*given \(4, 4\)"),
        (GOOD, np.array([0, 1, -1, 1]), (), "mine: y must be labels from 0 upwards; given -1"),
        (GOOD, np.array([0, 1, 1.5, 1]), (), "mine: y must hold integer class labels; given 1.5"),
        (GOOD, np.array([0, 1, np.nan, 1]), (), "mine: y must hold integer class labels; given nan"),
        (GOOD, np.array([0, 1, np.inf, 1]), (), "mine: y must hold integer class labels; given inf"),
        (GOOD, np.array([1j, 0, 1, 1]), (), "mine: y must hold class labels, .*given an array of type complex128"),
        (GOOD, np.zeros(4, int), (), "mine: y: at least 2 classes are required, given 1"),
        (GOOD, np.full(4, 3), (), "mine: y: at least 2 classes are required, given 1"),
        (GOOD, Y, (GOOD, None), "mine: test inputs and test labels must be given together"),
        (GOOD, Y, (None, Y), "mine: test inputs and test labels must be given together"),
        (
            GOOD,
            Y,
            (np.zeros((4, 3)), Y),
            r"mine: training and test inputs must have the same shape; given \(2,\) and \(3,\)",
        ),
        (GOOD, Y, (GOOD, Y + 1), "mine: y_test must be labels from 0 to 2 as in training; given 3"),
        (GOOD, Y, (NAN, Y), "mine: x_test must be finite"),
        (GOOD, Y, (GOOD, Y - 1), "mine: y_test must be labels from 0 to 2 as in training; given -1"),
    ],
)
def test_unusable_data_is_refused(x, y, test, message):
    with pytest.raises(InvalidInputError, match=message):
        make_samples(x, y, *test, source="mine")
