"""VGG networks: counts by hand and against torchvision, and how small images may be."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torchvision
from torch import nn

from nas_sens.architectures import count_params
from nas_sens.architectures.vgg import VGGSpec
from nas_sens.core.errors import InfeasibleArchitectureError


def parts(model: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """Return what comes before and behind the flattening."""
    at = next(i for i, m in enumerate(model) if isinstance(m, nn.Flatten))
    return model[:at], model[at + 1 :]


@pytest.mark.parametrize("configuration", [11, 13, 16, 19])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions_are_those_of_torchvision(configuration, batch_norm):
    spec = VGGSpec(configuration=configuration, batch_norm=batch_norm)
    with torch.device("meta"):
        name = f"vgg{configuration}{'_bn' if batch_norm else ''}"
        reference = torchvision.models.get_model(name).features
    features, head = parts(spec.skeleton((3, 32, 32), 10))
    assert [type(m) for m in features] == [type(m) for m in reference]
    assert [tuple(p.shape) for p in features.parameters()] == [tuple(p.shape) for p in reference.parameters()]
    layers = [m for m in (*features, *head) if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == configuration


def test_whole_network_of_the_paper_has_the_parameters_of_torchvision():
    with torch.device("meta"):
        reference = torchvision.models.vgg16(num_classes=1000)
    spec = VGGSpec(configuration=16, hidden_units=4096)
    assert count_params(spec.skeleton((3, 224, 224), 1000)) == count_params(reference) == 138_357_544


def test_counts_equal_those_by_hand(generator):
    spec = VGGSpec(configuration=11, width_factor=1 / 32, hidden_units=5, max_pools=2)  # 2, 4, 8, 8, 16, 16, 16, 16
    sizes = [1, 2, 4, 8, 8, 16, 16, 16, 16]
    convs = sum(9 * a * b + b for a, b in pairwise(sizes))
    heads = 16 * 3 * 2 * 5 + 5 + 5 * 5 + 5 + 5 * 7 + 7  # 12×9 pixels are halved to 3×2
    assert count_params(spec.skeleton((1, 12, 9), 7)) == convs + heads
    assert spec.build((1, 12, 9), 7, generator=generator)(torch.rand(2, 1, 12, 9)).shape == (2, 7)


def test_dropout_and_no_hidden_layers():
    features, head = parts(VGGSpec(configuration=11, width_factor=0.02, dropout=0.5).skeleton((3, 32, 32), 10))
    assert not any(isinstance(m, nn.Dropout) for m in features)
    assert sum(isinstance(m, nn.Dropout) for m in head) == 2
    head = parts(VGGSpec(configuration=11, width_factor=0.02, hidden_units=0).skeleton((3, 32, 32), 10))[1]
    assert [type(m) for m in head] == [nn.Linear]
    assert head[0].in_features == 10


@pytest.mark.parametrize(
    ("max_pools", "shape", "reason"),
    [
        (5, (1, 28, 28), "max-pool 5 of 5: a feature map of side 1 cannot be halved"),
        (3, (1, 32, 4), "max-pool 3 of 3: a feature map of side 1 cannot be halved"),
        (0, (784,), r"a vgg needs inputs of shape \(channels, height, width\), but they are \(784,\)"),
    ],
)
def test_what_does_not_fit_is_infeasible_with_a_reason(max_pools, shape, reason):
    with pytest.raises(InfeasibleArchitectureError, match=reason):
        VGGSpec(configuration=11, width_factor=0.02, max_pools=max_pools).skeleton(shape, 10)


def test_without_max_pools_any_image_will_do(generator):
    spec = VGGSpec(configuration=13, width_factor=0.02, hidden_units=3, max_pools=0)
    assert spec.build((1, 1, 2), 10, generator=generator)(torch.rand(2, 1, 1, 2)).shape == (2, 10)
