"""Jacobian norm against finite differences and against networks whose Jacobian is known."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.jacobian_norm import jacobian_norm, jacobian_norms, mean_squared_jacobian_norm

STEP = 1e-6


def slow_twin(model, x, after_softmax):
    """Return ‖J(x)‖_F of every input: central differences, one pixel after another."""
    twin = copy.deepcopy(model).eval()
    norms = []
    with torch.no_grad():
        for point in x:
            total = 0.0
            for i in range(point.numel()):
                moved = torch.stack([point, point]).flatten(1)
                moved[0, i] += STEP
                moved[1, i] -= STEP
                f = twin(moved.view(2, *point.shape))
                f = f.softmax(dim=1) if after_softmax else f
                total += sum(((a - b) / (2 * STEP)) ** 2 for a, b in zip(*f.tolist(), strict=True))
            norms.append(math.sqrt(total))
    return norms


@pytest.mark.parametrize("after_softmax", [True, False])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, after_softmax):
    expected = slow_twin(network, x, after_softmax)
    norms = jacobian_norms(network, x, after_softmax=after_softmax, batch_size=4)
    assert norms.tolist() == pytest.approx(expected, rel=1e-6)
    mean = jacobian_norm(network, x, after_softmax=after_softmax)
    assert mean == pytest.approx(sum(expected) / len(expected), rel=1e-6)


def test_of_a_linear_network():
    layer = nn.Linear(3, 2, bias=False).double()
    layer.weight.data = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]], dtype=torch.float64)
    x = torch.zeros(1, 3, dtype=torch.float64)
    assert jacobian_norm(layer, x, after_softmax=False) == pytest.approx(math.sqrt(40), rel=1e-12)
    # At p = (½, ½): J = ¼ ((w_0 - w_1); (w_1 - w_0)), w_0 - w_1 = (2, 2, -2).
    assert jacobian_norm(layer, x) == pytest.approx(math.sqrt(2 * 12) / 4, rel=1e-12)
    assert jacobian_norm(nn.Linear(3, 1).double(), x) == 0.0


@pytest.mark.parametrize("after_softmax", [True, False])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_hutchinson_converges_within_its_standard_error(network, x, after_softmax):
    exact = float(jacobian_norms(network, x, after_softmax=after_softmax).square().mean())
    g = torch.Generator().manual_seed(1)
    few, few_error = mean_squared_jacobian_norm(network, x, n_draws=50, after_softmax=after_softmax, generator=g)
    many, many_error = mean_squared_jacobian_norm(network, x, n_draws=5000, after_softmax=after_softmax, generator=g)
    assert abs(few - exact) < 4 * few_error
    assert abs(many - exact) < 4 * many_error
    assert 0.05 < many_error / few_error < 0.2  # 1/√100, but for the error of the error
    assert many_error < 0.02 * exact


def test_the_standard_error_is_the_spread_of_repeated_estimates(x):
    with torch.random.fork_rng():
        torch.manual_seed(0)  # so that the weights do not depend on which tests ran before
        model = nn.Sequential(nn.Flatten(), nn.Linear(32, 5)).double()
    g = torch.Generator().manual_seed(2)
    repeated = [mean_squared_jacobian_norm(model, x, n_draws=3, after_softmax=False, generator=g) for _ in range(300)]
    values, errors = torch.tensor(repeated).T
    assert float(values.std()) == pytest.approx(float(errors.square().mean().sqrt()), rel=0.15)


def test_what_it_needs(x):
    with pytest.raises(InvalidInputError, match="n_draws = 1"):
        mean_squared_jacobian_norm(nn.Flatten(), x, n_draws=1)
    with pytest.raises(InvalidInputError, match=r"outputs \(n, K\)"):
        jacobian_norm(nn.Identity(), x)
