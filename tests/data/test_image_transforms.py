"""torchvision's transforms in training: applied to training images only, reproducible, checked before anything runs."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torchvision.transforms import v2

import nas_sens as ns
from nas_sens.data.image_transforms import PARTS, make_transforms
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.trainable import check_trainable

FC = ns.FCSpec(depth=1, width=8, init="he_normal")
ERASING = {"name": "RandomErasing", "p": 1.0}


def test_transforms_are_torchvisions_in_their_order_with_draws_for_each_part() -> None:
    x = torch.rand(PARTS * 2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    blur = {"name": "GaussianBlur", "kernel_size": 3, "sigma": [1.0, 1.0]}
    torch.manual_seed(1)
    found = make_transforms([ERASING, blur])(x)
    torch.manual_seed(1)
    erased = [v2.RandomErasing(p=1.0)(part) for part in x.chunk(PARTS)]
    expected = torch.cat([v2.GaussianBlur(3, sigma=(1.0, 1.0))(part) for part in erased])
    assert torch.equal(found, expected)
    torch.manual_seed(1)
    assert not torch.equal(make_transforms([blur, ERASING])(x), expected)
    holes = make_transforms([ERASING])(torch.ones_like(x)) == 0
    assert all(torch.equal(holes[2 * i], holes[2 * i + 1]) for i in range(PARTS))
    assert len({tuple(h.flatten().tolist()) for h in holes}) > 1


def test_training_goes_through_them_and_evaluation_does_not(digits: ns.Splits, same_global_rng: None) -> None:
    spec = TrainSpec(epochs=2, batch_size=50, learning_rate=0.01)
    bare, erased, again = (
        train(FC, digits, dataclasses.replace(spec, transforms=t), seed=1) for t in ((), (ERASING,), (ERASING,))
    )
    assert erased.curve == again.curve
    assert erased.curve != bare.curve
    still = dataclasses.replace(
        spec, learning_rate=1e-30, transforms=({"name": "RandomErasing", "p": 1.0, "value": 9},)
    )
    assert train(FC, digits, still, seed=1).val_loss == pytest.approx(
        train(FC, digits, dataclasses.replace(still, transforms=()), seed=1).val_loss, rel=1e-6
    )


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        ({"name": "RandomErase"}, "unknown transform of torchvision 'RandomErase'; did you mean 'RandomErasing'?"),
        ({"p": 1.0}, "every one of transforms in [train] needs a name; given {'p': 1.0}"),
        ({"name": "RandomErasing", "q": 1}, "transform RandomErasing in [train]: "),
        ({"name": "RandomErasing", "p": 2.0}, "transform RandomErasing in [train]: "),
    ],
)
def test_wrong_declarations(transform: dict[str, object], text: str) -> None:
    with pytest.raises(ns.InvalidInputError) as error:
        make_transforms([transform])
    assert text in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises((ns.InvalidInputError, ValueError)):
        TrainSpec(transforms=(transform,))


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        ({"name": "Resize", "size": 4}, "transform Resize in [train] must leave images of shape (1, 8, 8)"),
        ({"name": "MixUp"}, "transform MixUp in [train] cannot be used: "),
        ({"name": "ToPILImage"}, "transform ToPILImage in [train] "),
    ],
)
def test_transforms_that_do_not_fit(digits: ns.Splits, transform: dict[str, object], text: str) -> None:
    with pytest.raises(ns.InvalidInputError) as error:
        check_trainable(TrainSpec(transforms=(transform,)), digits)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_they_need_images() -> None:
    table = ns.load_data(ns.DataSpec(name="diabetes"))
    with pytest.raises(ns.InvalidInputError, match="transforms in \\[train\\] needs images"):
        check_trainable(TrainSpec(transforms=(ERASING,)), table)
