"""Maps of region boundaries: means of the fine map, and how few boundaries are near the three inputs."""

from __future__ import annotations

import math

import pytest
import torch

import nas_sens as ns
import nas_sens.recordings.slice as module
from nas_sens.metrics.region_boundaries import region_boundaries
from nas_sens.recordings import Recorded


def test_a_slice_is_the_mean_of_a_finer_map(digits):
    spec = ns.FCSpec(depth=2, width=9, init="he_normal", bias=False)
    model = spec.build(digits.input_shape, 10, generator=torch.Generator().manual_seed(1))
    values = {"splits": digits, "y_train": digits.y_train, "loss": "mse"}
    recorded = Recorded(**values, n_inputs=40, generator=torch.Generator().manual_seed(2))
    found = module.slice(model, recorded, n_cells=5, n_parts=4, n_planes=3, n_points=16)
    x, y = recorded.train
    again = torch.Generator().manual_seed(2)
    planes = [module._three(y, again) for _ in range(3)]
    assert all(len({int(y[i]) for i in rows}) == 3 for rows in planes)
    assert found["labels"].tolist() == [int(y[i]) for i in planes[0]]
    fine = region_boundaries(model, x[planes[0]], n_points=20).counts.tolist()
    for i in range(5):
        for j in range(5):
            cell = [fine[4 * i + a][4 * j + b] for a in range(4) for b in range(4)]
            assert float(found["counts"][i, j]) == pytest.approx(sum(cell) / 16, rel=1e-12)
    corners = found["corners"].tolist()
    for rows, share in zip(planes, found["near"].tolist(), strict=True):
        grid = region_boundaries(model, x[rows], n_points=16).counts.tolist()
        near = [
            grid[i][j]
            for i in range(16)
            for j in range(16)
            if min(math.dist((-1 + 2 * j / 15, -1 + 2 * i / 15), c) for c in corners) <= 0.15
        ]
        assert share == pytest.approx(sum(near) / len(near) / (sum(map(sum, grid)) / 256), rel=1e-12)
    assert float(found["n_units"]) == 9
    with pytest.raises(ns.InvalidInputError, match="raise recording_inputs"):
        module.slice(model, Recorded(**values, n_inputs=1, generator=torch.Generator()))
