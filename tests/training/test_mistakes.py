"""What is kept of a network's mistakes: the right counts, the most certain first, pictures as they were given."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nas_sens.core.errors import StorageError
from nas_sens.core.mistakes import MOST_CLASSES, MOST_SHOWN, from_json
from nas_sens.data import Splits
from nas_sens.training.mistakes import can_have_mistakes, find_mistakes


class Says(nn.Module):
    """Says what stands in the first pixel, as sure as the second one is."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.flatten(1)
        return nn.functional.one_hot((flat[:, 0] * 255).round().long(), self.n) * flat[:, 1:2] * 8


def splits(x: torch.Tensor, y: torch.Tensor, n: int, **more) -> Splits:
    return Splits(
        name="made", x_train=x, y_train=y, x_val=x, y_val=y, x_test=x, y_test=y, n_outputs=n, **more
    )  # fmt: skip


def made(n: int = 300, shape: tuple[int, ...] = (1, 8, 8)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, *shape, generator=generator)
    said, y = (torch.randint(5, (n,), generator=generator) for _ in range(2))
    x.view(n, -1)[:, 0] = said / 255
    return x, said, y


def test_counts_and_order_are_those_of_numpy():
    x, said, y = made()
    found = find_mistakes(Says(5), splits(x, y, 5))
    expected = np.zeros((5, 5), dtype=int)
    np.add.at(expected, (y.numpy(), said.numpy()), 1)
    assert np.array_equal(found.confusion, expected)
    assert found.n_inputs == 300
    assert found.n_wrong == int((said != y).sum())
    sure = x.flatten(1)[:, 1].double() * 8
    certainty = (sure.exp() / (sure.exp() + 4)).numpy()
    rows = sorted(np.flatnonzero((said != y).numpy()), key=lambda i: -certainty[i])[:MOST_SHOWN]
    assert [m.row for m in found.most_certain] == rows
    assert [(m.true, m.taken_for) for m in found.most_certain] == [(int(y[i]), int(said[i])) for i in rows]
    assert [m.certainty for m in found.most_certain] == pytest.approx([certainty[i] for i in rows], abs=1e-5)
    cooler = find_mistakes(Says(5), splits(x, y, 5), temperature=4.0)
    assert cooler.most_certain[0].row == rows[0]
    assert cooler.most_certain[0].certainty < found.most_certain[0].certainty


@pytest.mark.parametrize("mean", [(), (0.3,)])
def test_pictures_are_those_that_were_given_before_they_were_standardised(mean):
    x, _, y = made()
    std = (2.0,) if mean else ()
    given = (x - mean[0]) / std[0] if mean else x
    network = nn.Sequential(Undo(mean, std), Says(5)) if mean else Says(5)
    found = find_mistakes(network, splits(given, y, 5, mean=mean, std=std)).most_certain[0]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.picture))))
    assert np.array_equal(shown, (x[found.row, 0] * 255).round().numpy().astype(np.uint8))


class Undo(nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean[0], std[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.std + self.mean


@pytest.mark.parametrize(("shape", "size"), [((3, 100, 50), (32, 64)), ((6,), None), ((2, 8, 8), None)])
def test_large_pictures_are_made_small_and_what_is_none_has_none(shape, size):
    x, _, y = made(40, shape)
    picture = find_mistakes(Says(5), splits(x, y, 5)).most_certain[0].picture
    assert (Image.open(io.BytesIO(base64.b64decode(picture))).size if picture else None) == size


def test_only_classes_that_one_can_look_at():
    x, _, y = made(20)
    data = splits(x, y, 5)
    assert can_have_mistakes(data)
    assert not can_have_mistakes(replace(data, n_outputs=MOST_CLASSES + 1))
    assert not can_have_mistakes(replace(data, task="multilabel"))


def test_a_network_without_a_mistake_has_none():
    x, said, _ = made(20)
    found = find_mistakes(Says(5), splits(x, said, 5))
    assert found.n_wrong == 0
    assert found.most_certain == ()


def test_what_is_kept_comes_back_and_what_was_altered_is_refused():
    x, _, y = made(60)
    found = find_mistakes(Says(5), splits(x, y, 5, class_names=tuple("abcde")))
    assert from_json(found.to_json(), what="it") == found
    good = json.loads(found.to_json())
    for bad in ("", "[]", "{}", good | {"confusion": [[1, 2]]}, good | {"class_names": ["a"]},
                good | {"most_certain": [good["most_certain"][0] | {"true": 5}]}):  # fmt: skip
        with pytest.raises(StorageError, match=r"^it cannot be read: [^\n]*$"):
            from_json(bad if isinstance(bad, str) else json.dumps(bad), what="it")
