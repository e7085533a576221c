"""Fully-connected networks: layers, counts by hand, and the identity that databases hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from nas_sens.architectures import count_flops, count_params
from nas_sens.architectures.fc import FCSpec

JSON = (
    '{"activation":"relu","batch_norm":false,"bias":true,"depth":3,"dropout":0.0,"family":"fc","init":"torch_default",'
    '"init_scale":1.0,"width":100}'
)
DIGEST = "5f2f907ebc1065de"
TOLERANCE = 1e-12


def test_pinned_identity():
    # Stored candidates are known by these: to change them is to forget all databases there are.
    spec = FCSpec(depth=3, width=100)
    assert spec.to_json() == JSON
    assert spec.digest == DIGEST


@pytest.mark.parametrize(("depth", "width"), [(0, 3), (1, 1), (2, 5), (4, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_counts_equal_those_by_hand(depth, width, bias, batch_norm):
    d, k = 12, 7
    spec = FCSpec(depth=depth, width=width, bias=bias, batch_norm=batch_norm)
    sizes = [d, *[width] * depth, k]
    products = sum(a * b for a, b in pairwise(sizes))
    expected = products + (sum(sizes[1:]) if bias else 0) + (2 * width * depth if batch_norm else 0)
    assert count_params(spec.skeleton((3, 2, 2), k)) == expected
    model = spec.build((3, 2, 2), k, generator=torch.Generator().manual_seed(0))
    assert count_params(model) == expected
    assert count_flops(model, (3, 2, 2)) == 2 * products


def test_order_of_layers():
    model = FCSpec(depth=2, width=5, activation="tanh", batch_norm=True, dropout=0.25).skeleton((4,), 3)
    block = [nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout]
    assert [type(m) for m in model] == [nn.Flatten, *block, *block, nn.Linear]
    assert all(m.p == 0.25 for m in model if isinstance(m, nn.Dropout))
    assert [type(m) for m in FCSpec(depth=1, width=5).skeleton((4,), 3)] == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


def test_output_equals_matrix_products(generator):
    model = FCSpec(depth=2, width=5).build((2, 3), 4, generator=generator, dtype=torch.float64)
    x = torch.rand(6, 2, 3, generator=generator, dtype=torch.float64)
    a, b, c = (m for m in model if isinstance(m, nn.Linear))
    h = (x.reshape(6, 6) @ a.weight.T + a.bias).clamp(min=0)
    h = (h @ b.weight.T + b.bias).clamp(min=0)
    torch.testing.assert_close(model(x), h @ c.weight.T + c.bias, atol=TOLERANCE, rtol=0)
