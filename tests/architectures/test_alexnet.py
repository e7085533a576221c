"""AlexNet: channels of torchvision's, counts by hand, and how small images may be."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torchvision
from torch import nn

from nas_sens.architectures import count_params
from nas_sens.architectures.alexnet import AlexNetSpec
from nas_sens.core.errors import InfeasibleArchitectureError


def test_channels_and_order_are_those_of_torchvision():
    with torch.device("meta"):
        reference = torchvision.models.alexnet().features
    model = AlexNetSpec().skeleton((3, 32, 32), 10)
    assert [type(m) for m in model[: len(reference)]] == [type(m) for m in reference]
    mine, theirs = ([m for m in net if isinstance(m, nn.Conv2d)] for net in (model, reference))
    assert [(m.in_channels, m.out_channels) for m in mine] == [(m.in_channels, m.out_channels) for m in theirs]
    # From the third on the kernels are the same, too.
    assert list(map(count_params, mine[2:])) == list(map(count_params, theirs[2:]))


@pytest.mark.parametrize(
    ("max_pool", "shape", "area"), [(True, (1, 28, 28), 1), (True, (3, 32, 32), 4), (False, (1, 9, 6), 15)]
)
@pytest.mark.parametrize("hidden_units", [0, 5])
def test_counts_equal_those_by_hand(max_pool, shape, area, hidden_units, generator):
    spec = AlexNetSpec(width_factor=1 / 32, hidden_units=hidden_units, max_pool=max_pool)
    channels = [shape[0], 2, 6, 12, 8, 8]
    convs = sum(9 * a * b + b for a, b in pairwise(channels))
    sizes = [8 * area, *[hidden_units] * (2 if hidden_units else 0), 7]
    assert count_params(spec.skeleton(shape, 7)) == convs + sum(a * b + b for a, b in pairwise(sizes))
    assert spec.build(shape, 7, generator=generator)(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 14, 28), "max-pool after conv layer 5: a feature map of side 1 cannot be halved"),
        ((1, 2, 2), "max-pool after conv layer 1: a feature map of side 1 cannot be halved"),
        ((10,), "an alexnet needs inputs"),
    ],
)
def test_what_does_not_fit_is_infeasible_with_a_reason(shape, reason):
    with pytest.raises(InfeasibleArchitectureError, match=reason):
        AlexNetSpec().skeleton(shape, 10)
