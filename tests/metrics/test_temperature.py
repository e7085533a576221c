"""Temperature scaling against a search over a fine grid, known temperatures and the cases without one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.temperature import temperature


def sample(scale, n=400, seed=0):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 4, generator=g, dtype=torch.float64) * 2
    y = torch.multinomial(z.softmax(dim=1), 1, generator=g).squeeze(1)  # classes drawn as the logits say: T = 1
    return z * scale, y


def loss_by_hand(z, y, t):
    rows = (z / t).tolist()
    total = 0.0
    for row, label in zip(rows, y.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(v - top) for v in row)) - row[label]
    return total / len(rows)


@pytest.mark.parametrize("scale", [1e-6, 0.2, 1.0, 300.0, 1e9])
def test_is_the_minimum(scale):
    z, y = sample(scale, n=60)
    t = temperature(z, y)
    grid = t * np.exp(np.linspace(-0.5, 0.5, 201))
    losses = [loss_by_hand(z, y, g) for g in grid]
    assert int(np.argmin(losses)) == 100
    assert t == pytest.approx(scale * temperature(z / scale, y), rel=1e-8)  # it has the unit of the logits


def test_of_calibrated_logits_is_one():
    z, y = sample(5.0, n=20_000)
    assert temperature(z, y) == pytest.approx(5.0, rel=0.03)


def test_two_classes_by_hand():
    # Margins +2, +2, -2 of the right class: p(right) must be 2/3, so that β · 2 = log 2.
    z = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    assert temperature(z, torch.zeros(3, dtype=torch.long)) == pytest.approx(2 / math.log(2), rel=1e-9)


def test_where_there_is_no_finite_temperature():
    y = torch.zeros(2, dtype=torch.long)
    assert temperature(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), y) == 0.0
    assert temperature(torch.tensor([[0.0, 1.0], [0.0, 3.0]]), y) == math.inf
    assert temperature(torch.ones(2, 3), y) == 1.0


def test_wrong_input():
    y = torch.zeros(2, dtype=torch.long)
    with pytest.raises(InvalidInputError, match="integer classes"):
        temperature(torch.zeros(2, 3), y.double())
    with pytest.raises(InvalidInputError, match="finite logits"):
        temperature(torch.tensor([[math.nan, 0.0], [1.0, 0.0]]), y)
