"""Counts from shapes are those of PyTorch's own counter, which runs the network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas_sens.architectures.flops import chain_flops
from nas_sens.architectures.resnet import ResNetSpec


def counted(model: nn.Module, shape: tuple[int, ...]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros((1, *shape)))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(2, 1), groups=2),
        nn.Sequential(nn.Conv2d(4, 3, 1), nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, stride=2))),
        nn.Linear(9, 2),
    ],
)
def test_layers_of_all_kinds(layer):
    assert chain_flops(layer, (4, 11, 9)) == counted(layer, (4, 11, 9))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Conv2d(5, 6, 3),
        nn.Conv2d(4, 6, 12),
        nn.MaxPool2d(12),
        nn.MaxPool2d(2, padding=1),
        nn.AvgPool2d(2),
        nn.Linear(8, 2),
        nn.Sequential(nn.Flatten(2)),
    ],
)
def test_what_it_does_not_know_is_left_to_the_counter(layer):
    assert chain_flops(layer, (4, 11, 9)) is None
    assert chain_flops(ResNetSpec(stages=1, blocks=1, width=4).skeleton((3, 8, 8), 10), (3, 8, 8)) is None
