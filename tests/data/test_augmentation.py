"""Augmentation of batches against one image after the other; label noise by its counts."""

from __future__ import annotations

import itertools

import pytest
import torch

from nas_sens.data.augmentation import augment
from nas_sens.training.label_noise import noisy_labels

KINDS = ("translation", "flip", "vertical_flip", "rotation")


def one_by_one(x, kinds, most, generator):
    """The definition, image by image; amounts are drawn in the same order."""

    def draw(low, high):
        return torch.randint(low, high, (len(x), 1, 1), generator=generator).flatten().tolist()

    none = [0] * len(x)
    quarters = draw(0, 4) if "rotation" in kinds else none
    downs = draw(0, 2) if "vertical_flip" in kinds else none
    sides = draw(0, 2) if "flip" in kinds else none
    down = draw(-most, most + 1) if "translation" in kinds else none
    right = draw(-most, most + 1) if "translation" in kinds else none
    result = []
    for i, image in enumerate(x):
        image = torch.roll(image, (down[i], right[i]), dims=(1, 2))
        image = image.flip(2) if sides[i] else image
        image = image.flip(1) if downs[i] else image
        result.append(torch.rot90(image, quarters[i], dims=(1, 2)))
    return torch.stack(result)


@pytest.mark.parametrize("kinds", [k for n in range(5) for k in itertools.combinations(KINDS, n)])
def test_augmentation_is_that_of_every_image_by_itself(kinds):
    x = torch.rand(40, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    fast, slow = (f(x, kinds, **{key: 3}, generator=torch.Generator().manual_seed(5)) for f, key in FUNCTIONS)
    assert torch.equal(fast, slow)
    assert torch.equal(x, before)
    assert not kinds or not torch.equal(fast, x)


def _slow(x, kinds, *, max_translation, generator):
    return one_by_one(x, kinds, max_translation, generator)


FUNCTIONS = ((augment, "max_translation"), (_slow, "max_translation"))


def test_images_need_not_be_square_but_for_rotations():
    x = torch.rand(30, 1, 4, 9, generator=torch.Generator().manual_seed(0))
    kinds = ("translation", "flip", "vertical_flip")
    fast, slow = (f(x, kinds, max_translation=2, generator=torch.Generator().manual_seed(1)) for f, _ in FUNCTIONS)
    assert torch.equal(fast, slow)


def test_all_moves_are_equally_likely():
    x = torch.zeros(20_000, 1, 5, 5)
    x[:, :, 2, 2] = 1
    moved = augment(x, ("translation",), max_translation=2, generator=torch.Generator().manual_seed(0))
    counts = moved.sum((0, 1))
    assert counts.min() > 700  # 800 expected at each of 25 places, standard deviation 28
    assert counts.max() < 900


@pytest.mark.parametrize(("share", "n"), [(0.0, 0), (0.25, 25), (0.333, 33), (1.0, 100)])
def test_label_noise_swaps_so_many_labels_for_other_classes(share, n):
    y = torch.arange(100) % 7
    before = y.clone()
    noisy = noisy_labels(y, share=share, n_classes=7, generator=torch.Generator().manual_seed(3))
    again = noisy_labels(y, share=share, n_classes=7, generator=torch.Generator().manual_seed(3))
    assert int((noisy != y).sum()) == n
    assert torch.equal(noisy, again)
    assert torch.equal(y, before)
    assert 0 <= int(noisy.min()) <= int(noisy.max()) < 7


def test_other_classes_are_equally_likely():
    y = torch.full((9000,), 2)
    noisy = noisy_labels(y, share=1.0, n_classes=4, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(noisy, minlength=4)
    assert counts[2] == 0
    assert ((counts[[0, 1, 3]] - 3000).abs() < 200).all()
