"""Bounds of the Jacobian norm by the loss: against sums written as in the paper, and where they hold exactly."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.jacobian_bounds import class_bounds, expected_norm, jacobian_against_loss


def slow_twin(model, x, y):
    """Return l, ‖J_y‖, ‖J‖, both bounds and eq. 7 of every input, and M: one output and one input at a time."""
    twin = copy.deepcopy(model).eval().requires_grad_(False)
    rows, logit_squares = [], []
    for point, label in zip(x, y.tolist(), strict=True):
        probability = lambda z: twin(z[None])[0].softmax(dim=0)  # noqa: E731
        jacobian = torch.autograd.functional.jacobian(probability, point).flatten(1).tolist()
        logits = torch.autograd.functional.jacobian(lambda z: twin(z[None])[0], point).flatten(1).tolist()
        squares = [math.fsum(v * v for v in row) for row in jacobian]
        logit_squares.append(math.fsum(v * v for row in logits for v in row))
        rows.append([-math.log(float(probability(point)[label])), squares[label] ** 0.5, math.fsum(squares) ** 0.5])
    n = len(logits)
    m = math.fsum(logit_squares) / len(x) / n
    for row in rows:
        s = math.exp(-row[0])
        row += [math.sqrt(n * m / (n - 1)) * s * (1 - s), math.sqrt(2 * m) * s * (1 - s)]
        row += [math.sqrt(m) / (n - 1) * (1 - s) * math.sqrt(n * n * s * s + n - 2)]
    return rows, m


@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, y):
    expected, m = slow_twin(network, x, y)
    found = jacobian_against_loss(network, x, y, batch_size=4)
    assert found.mean_square == pytest.approx(m, rel=1e-10)
    columns = [found.losses, found.class_norms, found.norms, found.class_lower, found.class_upper, found.expected_norms]
    table = torch.stack(columns, dim=1)
    torch.testing.assert_close(table, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)
    with torch.no_grad():  # in whatever mode the caller is
        again = jacobian_against_loss(network, x.flip(0), y.flip(0))
    torch.testing.assert_close(again.norms.flip(0), found.norms, rtol=1e-12, atol=0)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_the_bounds_hold_for_orthogonal_gradients_of_equal_norm(scale):
    # What the paper assumes, exactly: f = W x with orthogonal rows of one norm.
    k, g = 5, torch.Generator().manual_seed(0)
    model = nn.Linear(8, k, bias=False).double()
    model.weight.data = scale * torch.linalg.qr(torch.randn(8, k, generator=g, dtype=torch.float64)).Q.T
    x = 10 * torch.randn(200, 8, generator=g, dtype=torch.float64)
    y = torch.randint(k, (200,), generator=g)
    found = jacobian_against_loss(model, x, y)
    assert found.mean_square == pytest.approx(scale**2, rel=1e-12)
    slack = 1 + 1e-9
    assert bool((found.class_lower <= found.class_norms * slack).all())
    assert bool((found.class_norms <= found.class_upper * slack).all())
    assert bool((found.class_lower <= found.norms * slack).all())
    assert float((found.class_upper / found.class_lower).max()) == pytest.approx(math.sqrt(2 * (k - 1) / k))


def test_equation_7_holds_where_wrong_classes_are_equally_probable():
    k = 4
    model = nn.Linear(k, k, bias=False).double()
    nn.init.eye_(model.weight)
    x = torch.zeros(6, k, dtype=torch.float64)
    x[:, 1] = torch.tensor([-3.0, -1.0, 0.0, 1.0, 5.0, 20.0])
    y = torch.ones(6, dtype=torch.int64)
    found = jacobian_against_loss(model, x, y)
    torch.testing.assert_close(found.expected_norms, found.norms, rtol=1e-9, atol=0)
    torch.testing.assert_close(found.class_lower, found.class_norms, rtol=1e-7, atol=0)


def test_of_two_classes_all_agree():
    # Then σ_2 = 1 − σ_1: both bounds are √(2M) σ (1 − σ), and ‖J‖_F = √2 ‖J_y‖.
    losses = torch.tensor([0.0, 0.5, 3.0, 40.0], dtype=torch.float64)
    lower, upper = class_bounds(losses, mean_square=2.0, n_classes=2)
    torch.testing.assert_close(lower, upper)
    torch.testing.assert_close(expected_norm(losses, mean_square=2.0, n_classes=2), math.sqrt(2) * lower)
    assert lower[0] == 0.0
    assert float(lower[3]) == pytest.approx(2 * math.exp(-40), rel=1e-12)


def test_inputs_classified_with_near_certainty_keep_their_norm_in_float32():
    model = nn.Linear(2, 2, bias=False)
    nn.init.eye_(model.weight)
    found = jacobian_against_loss(model, torch.tensor([[25.0, 0.0]]), torch.tensor([0]))
    assert float(found.class_norms) == pytest.approx(math.sqrt(2) * math.exp(-25), rel=1e-4)  # 1 − σ_y is below 1e-10


def test_what_it_needs(x, y):
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).double()
    with pytest.raises(InvalidInputError, match="labels are needed"):
        jacobian_against_loss(model, x, None)
    with pytest.raises(InvalidInputError, match="integer labels"):
        jacobian_against_loss(model, x, y.double())
    with pytest.raises(InvalidInputError, match="3 classes and labels from 0 to 3"):
        jacobian_against_loss(model, x, y.clamp(min=1) - 1 + 2 * (y == 2))
    with pytest.raises(InvalidInputError, match="at least 2 classes"):
        jacobian_against_loss(nn.Sequential(nn.Flatten(), nn.Linear(32, 1)).double(), x, y)
