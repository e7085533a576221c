"""What a network is made of: all its parameters, in the order in which an input meets them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.architectures.base import count_params
from nas_sens.architectures.outline import outline


@pytest.mark.parametrize("space", ["fc_vs_cnn", "resnet", "mbconv", "vit", "init"])
def test_an_outline_has_all_parameters_and_ends_with_the_outputs(space):
    spec = ns.load_space(space).sample(seed=2)
    shape = (1, 28, 28)
    before = torch.random.get_rng_state()
    parts = outline(spec, shape, 10)
    assert sum(n for _, _, n in parts) == count_params(spec.skeleton(shape, 10))
    assert parts[-1][1] == [10]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_kinds_and_shapes_are_said_and_a_normalisation_comes_before_its_activation():
    spec = ns.load_space("fc_vs_cnn").sample(seed=2)
    kind, shape, n_params = outline(spec, (1, 28, 28), 10)[0]
    first = next(m for m in spec.skeleton((1, 28, 28), 10).modules() if isinstance(m, nn.Conv2d))
    assert (kind, shape[0]) == (f"Conv {first.kernel_size[0]}×{first.kernel_size[1]}", first.out_channels)
    assert n_params == first.weight.numel() + first.bias.numel()
    kinds = [kind for kind, _, _ in outline(ns.load_space("mbconv").sample(seed=2), (1, 28, 28), 10)]
    assert kinds[:4] == ["Conv 3×3", "BatchNormAct2d", "Identity", "SiLU"]
