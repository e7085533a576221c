"""Small networks in float64 that every measure is checked on, and a watch over what a measure may not alter."""

from __future__ import annotations

import pytest
import torch

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.resnet import ResNetSpec
from tests.untouched import assert_untouched, snapshot

N, SHAPE, K = 6, (2, 4, 4), 3
SPECS = {
    "fc": FCSpec(depth=2, width=8, init="he_normal", bias=True),
    "fc_norm": FCSpec(depth=2, width=12, init="xavier_normal", batch_norm=True, dropout=0.3),
    "cnn": CNNSpec(depth=2, channels=3, max_pool=True, padding=1, hidden_units=4, init="torch_default"),
    "resnet": ResNetSpec(stages=2, blocks=1, width=3, batch_norm=True, init="he_normal"),
}


def build(name, seed=0):
    """Return a network whose batch norms have statistics, weights and biases of their own, in training mode."""
    g = torch.Generator().manual_seed(seed)
    model = SPECS[name].build(SHAPE, K, generator=g, dtype=torch.float64)
    for m in model.modules():
        if isinstance(m, torch.nn.modules.batchnorm._BatchNorm):
            m.running_mean.normal_(generator=g)
            m.running_var.uniform_(0.5, 2.0, generator=g)
            m.weight.data.uniform_(-0.5, 1.5, generator=g)
            m.bias.data.normal_(generator=g)
    return model


@pytest.fixture(params=list(SPECS))
def network(request):
    return build(request.param)


@pytest.fixture
def x():
    return torch.rand(N, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.fixture
def y():
    return torch.tensor([0, 2, 1, 1, 0, 2])


@pytest.fixture
def untouched(network):
    """Fail the test if the network is not left as it was found; one gradient is there, and one weight frozen."""
    parameters = list(network.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    parameters[2].requires_grad_(False)
    before = snapshot(network)
    yield
    assert_untouched(network, before)
