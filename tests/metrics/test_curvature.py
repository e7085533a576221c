"""Curvature along closed trajectories: against autograd point by point, and networks whose curvature is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.curvature import curvature, curvature_steps
from nas_sens.metrics.trajectories import translations


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=3):
    return torch.randn(n, 2, 4, 5, generator=seeded(1), dtype=torch.float64)


def build(activation):
    spec = ns.CNNSpec(depth=2, channels=3, kernel=2, activation=activation, hidden_units=4, init="standard_normal")
    return spec.build((2, 4, 5), 3, generator=seeded(), dtype=torch.float64)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equals_the_slow_twin(activation, batch_size):
    model, x, k = build(activation), images(), 11
    model.train()
    expected = []
    for image in x[:2]:
        path = translations(image)
        rows = []
        for i in range(k):
            z = path(torch.tensor([i / k], dtype=torch.float64))
            rows.append(torch.autograd.functional.jacobian(lambda v: model(v)[0], z))
        squares = [sum((a - b) ** 2 for a, b in zip(p.flatten().tolist(), q.flatten().tolist(), strict=True))
                   for p, q in zip(rows, [*rows[1:], rows[0]], strict=True)]  # fmt: skip
        steps = [math.sqrt(s) for s in squares]
        found = curvature_steps(model, path, image, k, batch_size=batch_size)
        assert found.tolist() == pytest.approx(steps, rel=1e-9, abs=1e-12)
        expected.append(sum(steps) / 2)
    assert min(expected) > 0
    found = curvature(model, x, n_points=k, n_images=2, batch_size=batch_size)
    assert found == pytest.approx(sum(expected) / 2, rel=1e-9)
    assert model.training


def test_a_linear_network_has_none_and_a_unit_is_crossed_twice():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(40, 3)).double()
    assert curvature(linear, images(), n_points=8) == 0
    # Round the unit circle, w·z changes its sign twice, and f' = v wᵀ comes and goes: C = ½ · 2 · ‖v‖ · ‖w‖.
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU(), nn.Linear(1, 3, bias=False)).double()
    circle = lambda t: torch.stack([(2 * math.pi * t).cos(), (2 * math.pi * t).sin()], dim=1)  # noqa: E731
    steps = curvature_steps(model, circle, torch.zeros(2, dtype=torch.float64), 100)
    jump = float((model[0].weight.norm() * model[2].weight.norm()).detach())
    assert sorted(steps.tolist()) == pytest.approx([0.0] * 98 + [jump] * 2)


def test_more_points_find_more():
    model, x = build("relu"), images(1)
    few, many = (curvature(model, x, n_points=k) for k in (10, 640))  # the many have all points of the few
    assert few < many
    assert many == pytest.approx(curvature(model, x, n_points=1280), rel=0.02)


def test_what_it_needs():
    with pytest.raises(InvalidInputError, match="need an image"):
        curvature(build("relu"), torch.zeros(2, 40, dtype=torch.float64))
    with pytest.raises(InvalidInputError, match="n_points = 1"):
        curvature(build("relu"), images(), n_points=1)
