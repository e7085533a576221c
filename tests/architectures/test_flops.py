"""Counts from shapes are those of PyTorch's own counter, which runs the network."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nas_sens.architectures.alexnet import AlexNetSpec
from nas_sens.architectures.base import count_flops, count_params
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.flops import chain_flops
from nas_sens.architectures.resnet import ResNetSpec
from nas_sens.architectures.vgg import VGGSpec

SPECS = [
    FCSpec(depth=0, width=3),
    FCSpec(depth=3, width=17, batch_norm=True, dropout=0.2, activation="hard_tanh"),
    FCSpec(depth=4, width=19, taper=0.6, bias=False, activation="hard_sigmoid"),
    CNNSpec(depth=2, channels=5, kernel=5, padding=1, stride=2, hidden_units=7, activation="gelu"),
    CNNSpec(depth=3, channels=4, kernel=3, padding=1, max_pool=True, batch_norm=True),
    VGGSpec(configuration=11, width_factor=0.05, hidden_units=9),
    AlexNetSpec(width_factor=0.05, hidden_units=0),
]


def counted(model: nn.Module, shape: tuple[int, ...]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros((1, *shape)))
    return counter.get_total_flops()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.family)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 35, 40)])
def test_chains_are_counted_as_pytorch_counts_them(spec, shape):
    model = spec.build(shape, 10)
    assert chain_flops(model, shape) == counted(model, shape) == count_flops(model, shape)
    size = spec.size(shape, 10)
    assert size is None or size == (count_params(model), counted(model, shape))
    assert (size is not None) == isinstance(spec, FCSpec)


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
