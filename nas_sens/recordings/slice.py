"""Slice: boundaries of linear regions in a plane through three training inputs (novak2018, figure 3)."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..metrics.region_boundaries import BoundaryMap, region_boundaries
from ._recording import Arrays, Recorded, Recording, first_seed, needs_classes

N_CELLS, N_PARTS = 42, 8  # cells a side of the map that is kept; points of the grid a side of a cell
N_PLANES, N_POINTS = 12, 168  # planes that are looked at, the first being the map's; points of their grids a side
NEAR = 0.15  # from a training input, in coordinates of the plane, in which it lies 0.8 from the centre


def slice(
    model: nn.Module,
    recorded: Recorded,
    *,
    n_cells: int = N_CELLS,
    n_parts: int = N_PARTS,
    n_planes: int = N_PLANES,
    n_points: int = N_POINTS,
) -> Arrays:
    """Return a map of the boundaries of linear regions about three training inputs of different classes.

    Source: novak2018 (arXiv:1802.08760), figure 3 and section A.5.3; see
    :func:`nas_sens.metrics.region_boundaries.region_boundaries`. The same planes are taken at every epoch. The fields:

    - ``counts`` (42, 42): units that change their region between neighbours of a grid of 336 × 336 points over
      [-1, 1]², mean over the 8 × 8 points of each cell; row i has the i-th smallest v, column j the j-th smallest u.
    - ``corners`` (3, 2): u and v of the three inputs.
    - ``labels`` (3,): their classes.
    - ``near`` (12,): of 12 planes, the first being the map's: the mean of the counts of points within 0.15 of an input,
      divided by the mean of all; below 1 where training inputs lie in regions of lower transition density.
    - ``n_units`` (): units of that layer.

    Args:
        model: The network.
        recorded: What it is taken of.
        n_cells: Cells a side of the map that is kept.
        n_parts: Points of the grid a side of a cell.
        n_planes: Planes that are looked at, the first being the map's.
        n_points: Points of their grids a side.

    Raises:
        InvalidInputError: There are fewer than three classes, or the network has no linear regions.
    """
    x, y = recorded.train
    planes = [_three(y, recorded.generator) for _ in range(n_planes)]
    found = region_boundaries(model, x[planes[0]], n_points=n_cells * n_parts)
    near = [nearness(region_boundaries(model, x[rows], n_points=n_points)) for rows in planes]
    return {
        "counts": found.counts.double().view(n_cells, n_parts, n_cells, n_parts).mean(dim=(1, 3)),
        "corners": found.corners,
        "labels": y[planes[0]],
        "near": torch.stack(near),
        "n_units": torch.tensor(float(found.n_units)),
    }


def nearness(found: BoundaryMap) -> torch.Tensor:
    """Return the mean count near the three inputs of a map, divided by the mean of all."""
    counts = found.counts.double()
    side = torch.linspace(-1, 1, len(counts), dtype=torch.float64)
    places = torch.cartesian_prod(side, side).flip(1)  # (u, v) row by row
    is_near = (torch.cdist(places, found.corners).amin(dim=1) <= NEAR).view(counts.shape).to(counts.device)
    return counts[is_near].mean() / counts.mean()


def _three(y: torch.Tensor, generator: torch.Generator) -> list[int]:
    """Return the rows of three inputs of different classes.

    Raises:
        InvalidInputError: There are fewer than three classes.
    """
    classes = y.unique().tolist()
    if len(classes) < 3:
        raise InvalidInputError(
            f"training inputs of three classes are needed; given {len(classes)}; raise recording_inputs"
        )
    members = [
        (y == classes[i]).nonzero().flatten().tolist() for i in torch.randperm(len(classes), generator=generator)
    ]
    return [rows[int(torch.randint(len(rows), (), generator=generator))] for rows in members[:3]]


RECORDING = Recording(
    function=slice,
    fields=("counts", "corners", "labels", "near", "n_units"),
    size=lambda n, splits: N_CELLS**2 + 9 + N_PLANES + 1,
    source="Novak et al. 2018, arXiv:1802.08760, figure 3",
    combine=first_seed,
    requirement=needs_classes,
)
