"""Transitions against regions counted one unit at a time, and trajectories against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas_sens.architectures.activations import ACTIVATIONS
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.linear_regions import linear_regions, region_index, transitions
from nas_sens.metrics.trajectories import ellipse_through, positions, translations

PIECEWISE = [name for name in ACTIVATIONS if name != "gelu"]
BOUNDS = {"relu": [0], "relu6": [0, 6], "hard_tanh": [-1, 1], "hard_sigmoid": [-0.5, 0.5], "tanh": [0]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def image(seed=0):
    return torch.randn(2, 4, 5, generator=seeded(seed), dtype=torch.float64)


def build(activation, seed=0):
    spec = CNNSpec(depth=2, channels=3, kernel=2, activation=activation, hidden_units=4, init="standard_normal")
    return spec.build((2, 4, 5), 3, generator=seeded(seed), dtype=torch.float64)


def point_by_hand(picture, place):
    """Return the interpolated translation at ``place`` pixels to the right, pixel by pixel."""
    _, _, width = picture.shape
    j, share = int(place), place - int(place)
    out = torch.empty_like(picture)
    for column in range(width):
        near, far = picture[:, :, (column - j) % width], picture[:, :, (column - j - 1) % width]
        out[:, :, column] = (1 - share) * near + share * far
    return out


def regions_by_hand(model, point, bounds):
    """Return every unit's region at one point, layer by layer."""
    codes, value = [], point[None]
    for m in model:
        if not isinstance(m, (nn.Conv2d, nn.Linear, nn.Flatten)):
            codes += [sum(v > b for b in bounds) for v in value.flatten().tolist()]
        value = m(value)
    return codes


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("activation", PIECEWISE)
@pytest.mark.usefixtures("same_global_rng")
def test_equals_the_slow_twin(activation, batch_size):
    model, k = build(activation), 11
    pictures = [image(1), image(2)]
    with torch.no_grad():
        totals = []
        for picture in pictures:
            codes = [regions_by_hand(model, point_by_hand(picture, 5 * i / k), BOUNDS[activation]) for i in range(k)]
            steps = [sum(abs(a - b) for a, b in zip(codes[i], codes[(i + 1) % k], strict=True)) for i in range(k)]
            found = transitions(model, translations(picture), picture, k, batch_size=batch_size)
            assert found.tolist() == steps
            totals.append(sum(steps))
    assert min(totals) > 0
    mean = linear_regions(model, torch.stack(pictures), n_points=k, batch_size=batch_size)
    assert mean == sum(totals) / 2
    assert linear_regions(model, torch.stack(pictures), n_points=k, n_images=1) == totals[0]
    assert all(m.training for m in model.modules())
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_region_index_of_torchs_own_and_inplace_activations():
    z = torch.tensor([-4.0, -2.0, -0.7, 0.7, 4.0, 7.0])
    assert region_index(nn.Hardsigmoid(), z).tolist() == [0, 1, 1, 1, 2, 2]
    assert region_index(nn.Hardtanh(-2.5, 0.5), z).tolist() == [0, 1, 1, 2, 2, 2]
    assert region_index(nn.LeakyReLU(), z).tolist() == [0, 0, 0, 1, 1, 1]
    model = nn.Sequential(nn.ReLU6(inplace=True))
    wave = lambda t: torch.stack([8 * (2 * math.pi * t).cos()], dim=1)  # noqa: E731
    assert int(transitions(model, wave, torch.zeros(1), 8).sum()) == 4  # down through 6 and 0, and up again


def test_a_unit_that_crosses_the_circle_twice():
    # Along the unit circle, w·z changes its sign twice for every unit, whatever w: 3 units, 6 transitions.
    model = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU())
    nn.init.normal_(model[0].weight, generator=seeded())
    circle = lambda t: torch.stack([(2 * math.pi * t).cos(), (2 * math.pi * t).sin()], dim=1)  # noqa: E731
    assert int(transitions(model, circle, torch.zeros(2), 100).sum()) == 6


def test_translations_are_closed_and_equidistant():
    picture = image()
    path = translations(picture)
    torch.testing.assert_close(path(torch.tensor([0.0, 1.0, 2.0])), torch.stack([picture] * 3).to(torch.float64))
    assert torch.equal(path(torch.tensor([0.4], dtype=torch.float64))[0], picture.roll(2, dims=-1))
    points = path(positions(15, like=picture))
    steps = (points - points.roll(1, dims=0)).flatten(1).norm(dim=1)
    assert float(steps.max()) == pytest.approx(float(steps.min()), rel=1e-9)
    for i in (3, 7, 14):
        torch.testing.assert_close(points[i], point_by_hand(picture, 5 * i / 15))
    with pytest.raises(InvalidInputError, match=r"given the shape \(3,\)"):
        translations(torch.zeros(3))


def test_the_ellipse_through_three_points_is_a_circle_in_their_plane():
    a, b, c = (image(seed) for seed in range(3))
    path = ellipse_through(a, b, c)
    torch.testing.assert_close(path(torch.tensor([1 / 6, 1 / 2, 5 / 6], dtype=torch.float64)), torch.stack([a, b, c]))
    # By affine coordinates in which a, b, c are corners of an equilateral triangle, all points lie on its circumcircle.
    corners = torch.tensor([[1, 0], [-0.5, math.sqrt(3) / 2], [-0.5, -math.sqrt(3) / 2]], dtype=torch.float64)
    basis = torch.stack([b - a, c - a]).flatten(1)
    points = path(positions(40, like=a)).flatten(1) - a.flatten()
    shares = torch.linalg.lstsq(basis.T, points.T).solution.T
    torch.testing.assert_close(shares @ basis, points)  # in the plane
    plane = corners[0] + shares @ torch.stack([corners[1] - corners[0], corners[2] - corners[0]])
    torch.testing.assert_close(plane.norm(dim=1), torch.ones(40, dtype=torch.float64))
    angles = torch.atan2(plane[:, 1], plane[:, 0])
    turns = (angles - angles.roll(1)).remainder(2 * math.pi)
    expected = 2 * math.pi / 40
    assert ((turns - expected).abs().max() < 1e-9) or ((turns - (2 * math.pi - expected)).abs().max() < 1e-9)


def test_what_it_needs():
    with pytest.raises(InvalidInputError, match="none is called"):
        linear_regions(build("gelu"), image()[None])
    with pytest.raises(InvalidInputError, match="need an image"):
        linear_regions(build("relu"), torch.zeros(2, 40))
    with pytest.raises(InvalidInputError, match="n_points = 1"):
        linear_regions(build("relu"), image()[None], n_points=1)
