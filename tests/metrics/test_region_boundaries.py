"""Boundaries in a plane against regions found one point at a time, and the picture of them."""

from __future__ import annotations

import copy
import math
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.region_boundaries import plane_through, region_boundaries
from nas_sens.report.boundary_figure import boundary_figure

SHAPE = (2, 4, 4)  # of the fixtures


def line(bias):
    """Return one unit whose boundary is at -bias in the first of two coordinates."""
    layer = nn.Linear(2, 1).double()
    layer.weight.data, layer.bias.data = layer.weight.new_tensor([[1.0, 0.0]]), layer.bias.new_tensor([bias])
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def last_codes_by_hand(model, point):
    """Return the signs of the pre-activations of the last hidden layer at one point, found by hand."""
    blocks = [i for i, m in enumerate(model) if hasattr(m, "projection")]
    if blocks:
        block, h = model[blocks[-1]], model[: blocks[-1]](point[None])
        z = block.body(h) + (h if block.projection is None else block.projection(h))
    else:
        last = max(i for i, m in enumerate(model) if isinstance(m, nn.ReLU))
        z = model[:last](point[None])
    return [v > 0 for v in z.flatten().tolist()]


def test_corners_of_the_plane_are_the_inputs(x):
    at = plane_through(x[:3])
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.ReLU()).double()
    corners = region_boundaries(model, x[:3], n_points=2).corners
    torch.testing.assert_close(at(corners), x[:3])
    assert corners.norm(dim=1).tolist() == pytest.approx([0.8] * 3)
    torch.testing.assert_close(at(torch.zeros(1, 2, dtype=torch.float64))[0], x[:3].mean(dim=0))


@pytest.mark.parametrize("batch_size", [1, 20, 1000])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, batch_size):
    n = 5
    points = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 3
    found = region_boundaries(network, points, n_points=n, batch_size=batch_size)
    twin = copy.deepcopy(network).eval()
    codes = {}
    centre = points.mean(dim=0)
    # The plane by its definition: corners of an equilateral triangle are 0.8 (cos, sin) of π/3, π, 5π/3.
    basis = torch.tensor([[0.8 * math.cos(a), 0.8 * math.sin(a)] for a in (math.pi / 3, math.pi)], dtype=torch.float64)
    with torch.no_grad():
        for i in range(n):
            for j in range(n):
                place = torch.tensor([-1 + 2 * j / (n - 1), -1 + 2 * i / (n - 1)], dtype=torch.float64)
                a, b = torch.linalg.solve(basis.T, place).tolist()
                point = centre + a * (points[0] - centre) + b * (points[1] - centre)
                codes[i, j] = last_codes_by_hand(twin, point)
    expected = torch.zeros((n, n), dtype=torch.int64)
    for (i, j), code in codes.items():
        for neighbour in ((i, j + 1), (i + 1, j)):
            if neighbour in codes:
                expected[i, j] += sum(a != b for a, b in zip(code, codes[neighbour], strict=True))
    assert torch.equal(found.counts, expected)
    assert int(expected.sum()) > 0
    assert found.n_units == len(codes[0, 0])
    assert found.layer == [name for name, m in network.named_modules() if isinstance(m, nn.ReLU)][-1]


def test_a_line_through_the_plane_is_found_where_it_is():
    # One unit, whose boundary is u = 0.1 in the plane of the first two coordinates.
    angles = torch.tensor([math.pi / 3, math.pi, 5 * math.pi / 3], dtype=torch.float64)
    points = 0.8 * torch.stack([angles.cos(), angles.sin()], dim=1)
    found = region_boundaries(line(-0.1), points, n_points=11)
    expected = torch.zeros(11, 11, dtype=torch.int64)
    expected[:, 5] = 1  # between u = 0 and u = 0.2
    assert torch.equal(found.counts, expected)


def test_the_picture_says_what_it_shows():
    points = torch.randn(3, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = region_boundaries(line(0.2), points, n_points=16)
    svg = boundary_figure(found, labels=["cat", "dog", "<ship>"], title="before training")
    assert svg == boundary_figure(found, labels=["cat", "dog", "<ship>"], title="before training")
    text = " ".join(ElementTree.fromstring(svg).itertext())
    for word in ("before training", "cat", "dog", "<ship>", "first coordinate", "units that change their region"):
        assert word in text
    with pytest.raises(InvalidInputError, match="3 labels"):
        boundary_figure(found, labels=["cat"])


def test_what_it_needs(x):
    with pytest.raises(InvalidInputError, match="given 2 inputs"):
        region_boundaries(line(0.0), x[:2])
    with pytest.raises(InvalidInputError, match="n_points = 1"):
        region_boundaries(line(0.0), x[:3], n_points=1)
    with pytest.raises(InvalidInputError, match="none is called"):
        region_boundaries(nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).double(), x[:3])
