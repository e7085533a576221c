"""Fully-connected networks: layers, counts by hand, and the identity that databases hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from nas_sens.architectures import count_flops, count_params
from nas_sens.architectures.fc import FCSpec
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InfeasibleArchitectureError
from nas_sens.metrics.closed_form.expectation import closed_form_sensitivity
from nas_sens.metrics.output_sensitivity import output_sensitivity

JSON = (
    '{"activation":"relu","batch_norm":false,"bias":true,"depth":3,"dropout":0.0,"family":"fc","init":"torch_default",'
    '"init_scale":1.0,"taper":1.0,"width":100}'
)
DIGEST = "7b8e47015ee54ab0"
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


@pytest.mark.parametrize(
    ("taper", "widths"),
    [
        (1.0, [10, 10, 10, 10]),
        (0.5, [10, 5, 2, 1]),
        (0.1, [10, 1, 1, 1]),
        (1.5, [10, 15, 22, 34]),
        (2.0, [10, 20, 40, 80]),
    ],
)
def test_taper(taper, widths):
    spec = FCSpec(depth=4, width=10, taper=taper)  # 1.5: 22.5 is rounded to even, 33.75 up
    assert spec.widths() == widths
    sizes = [6, *widths, 3]
    assert count_params(spec.skeleton((6,), 3)) == sum(a * b + b for a, b in pairwise(sizes))


def test_a_taper_beyond_all_bounds_is_infeasible():
    for depth in (20, 2000):
        with pytest.raises(InfeasibleArchitectureError, match=r"hidden layer 8 would have .* units, more than 2\^31"):
            FCSpec(depth=depth, width=1000, taper=10.0).skeleton((6,), 3)
    assert FCSpec(depth=2000, width=3, taper=0.01).widths()[-1] == 1


def test_closed_form_of_a_tapered_network_agrees_with_monte_carlo(generator):
    spec = FCSpec(depth=3, width=120, taper=0.7, bias=False)
    x = torch.rand(32, 50, generator=generator)
    expected = closed_form_sensitivity(spec, x, n_outputs=10)
    values = []
    for seed in range(40):
        model = spec.build((50,), 10, generator=torch.Generator().manual_seed(seed))
        initialize_(model, "standard_normal", generator=torch.Generator().manual_seed(seed))
        values.append(output_sensitivity(model, x, noise_std=0.1, generator=generator))
    assert float(torch.tensor(values).mean()) == pytest.approx(expected, rel=0.25)
