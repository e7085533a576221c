"""Measures along ellipses: against one point, and one step, at a time."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import nas_sens as ns
from nas_sens.data.per_input import unit_variance
from nas_sens.metrics.trajectories import ellipse_through
from nas_sens.recordings import Recorded
from nas_sens.recordings.trajectories import ANCHORS, KINDS, _draw, along, trajectories


def network(shape):
    spec = ns.FCSpec(depth=2, width=7, init="he_normal", bias=False)
    return spec.build(shape, 10, generator=torch.Generator().manual_seed(1)).double()


def test_values_along_an_ellipse_equal_the_slow_twin(digits):
    x = digits.x_train[:30].double()
    model = network(digits.input_shape)
    at = ellipse_through(*x[:3])
    found = along(model, at, x)

    def code(t):
        z = at(torch.tensor([t], dtype=torch.float64)).flatten(1)
        signs = []
        for layer in model.modules():
            if isinstance(layer, torch.nn.Linear):
                z = z @ layer.weight.T
                signs.append(z > 0)
                z = z.clamp(min=0)
        return torch.cat(signs[:-1], dim=1).int(), at(torch.tensor([t], dtype=torch.float64))

    for i in (0, 10, 33):
        z = at(torch.tensor([i / 60], dtype=torch.float64))
        rows = torch.autograd.functional.jacobian(lambda v: model(v)[0].softmax(0), z).flatten(1)
        assert float(found["norm"][i]) == pytest.approx(float(rows.norm()), rel=1e-9)
        distances = [math.dist(z.flatten().tolist(), one.flatten().tolist()) for one in x]
        assert float(found["distance"][i]) == pytest.approx(min(distances) / 8, rel=1e-6, abs=1e-7)
        fine = [code((i - 0.5 + j / 16) / 60) for j in range(17)]
        n = sum(int((a[0] - b[0]).abs().sum()) for a, b in itertools.pairwise(fine))
        length = sum(float((a[1] - b[1]).norm()) for a, b in itertools.pairwise(fine))
        assert float(found["density"][i]) == pytest.approx(n / length, rel=1e-9)
    assert found["distance"][10] == pytest.approx(0, abs=1e-6)  # a training input, at 1/6


def test_ellipses_pass_through_the_inputs_they_should(digits):
    x, y = digits.x_train[:60].double(), digits.y_train[:60]
    g = torch.Generator().manual_seed(0)
    for kind in KINDS:
        for _ in range(5):
            points = _draw(kind, x, y, g)(torch.tensor(ANCHORS, dtype=torch.float64))
            distances = torch.cdist(points.flatten(1), x.flatten(1))
            if kind == "random":
                assert float(distances.min()) > 1
            else:
                assert float(distances.amin(dim=1).max()) < 1e-6
                n_classes = len(y[distances.argmin(dim=1)].unique())
                assert n_classes == (1 if kind == "same" else 3)


def test_random_ellipses_are_as_far_out_as_inputs_of_unit_variance(digits):
    """Section A.5.2: axes of standard normal numbers make points of the expected norm of training inputs, √d."""
    x, y = unit_variance(digits.x_train[:60].double()), digits.y_train[:60]
    radius = x.flatten(1).norm(dim=1)
    torch.testing.assert_close(radius, torch.full_like(radius, 8.0))
    g = torch.Generator().manual_seed(0)
    t = torch.arange(12, dtype=torch.float64) / 12
    squares = torch.stack([_draw("random", x, y, g)(t).flatten(1).square().sum(dim=1) for _ in range(400)]).mean(dim=0)
    # Of one ellipse |z|² has mean d and variance 2d: over 400 a relative standard error of √(2 / 64 / 400) = 0.009.
    torch.testing.assert_close(squares, torch.full_like(squares, 64.0), rtol=4 * 0.009, atol=0)


def test_what_is_lacking_is_told(digits):
    model = network(digits.input_shape).float()
    values = {"splits": digits, "y_train": digits.y_train, "loss": "mse", "generator": torch.Generator()}
    with pytest.raises(ns.InvalidInputError, match="raise recording_inputs"):
        trajectories(model, Recorded(**values, n_inputs=2))
