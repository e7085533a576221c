"""Slice: boundaries of linear regions in a plane through three training inputs (novak2018, figure 3)."""

from __future__ import annotations

import torch
from torch import nn

from ..errors import InvalidInputError
from ..metrics.region_boundaries import region_boundaries
from ._recording import Arrays, Recorded, Recording, first_seed, needs_classes

N_CELLS, N_PARTS = 42, 8  # cells a side of the map that is kept; points of the grid a side of a cell
NEAR = 0.15  # from a training input, in coordinates of the plane, in which it lies 0.8 from the centre


def slice(model: nn.Module, recorded: Recorded) -> Arrays:
    """Return a map of the boundaries of linear regions about three training inputs of different classes.

    Source: novak2018 (arXiv:1802.08760), figure 3 and section A.5.3; see
    :func:`nas_sens.metrics.region_boundaries.region_boundaries`. The same plane is taken at every epoch. The fields:

    - ``counts`` (42, 42): units that change their region between neighbours of a grid of 336 × 336 points over
      [-1, 1]², mean over the 8 × 8 points of each cell; row i has the i-th smallest v, column j the j-th smallest u.
    - ``corners`` (3, 2): u and v of the three inputs.
    - ``labels`` (3,): their classes.
    - ``near`` (): mean of the counts of points within 0.15 of an input, divided by the mean of all; below 1 where
      training inputs lie in regions of lower transition density.
    - ``n_units`` (): units of that layer.

    Raises:
        InvalidInputError: There are fewer than three classes, or the network has no linear regions.
    """
    x, y = recorded.train
    classes = y.unique().tolist()
    if len(classes) < 3:
        raise InvalidInputError(
            f"training inputs of three classes are needed; given {len(classes)}; raise record_inputs"
        )
    chosen = [classes[i] for i in torch.randperm(len(classes), generator=recorded.generator)[:3].tolist()]
    three = torch.stack([x[int((y == c).nonzero()[0])] for c in chosen])
    n_points = N_CELLS * N_PARTS
    found = region_boundaries(model, three, n_points=n_points)
    counts = found.counts.double().cpu()
    side = torch.linspace(-1, 1, n_points, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=2)  # (v, u, 2): u, v
    is_near = (torch.cdist(places.view(-1, 2), found.corners).amin(dim=1) <= NEAR).view(n_points, n_points)
    return {
        "counts": counts.view(N_CELLS, N_PARTS, N_CELLS, N_PARTS).mean(dim=(1, 3)),
        "corners": found.corners,
        "labels": torch.tensor(chosen),
        "near": counts[is_near].mean() / counts.mean(),
        "n_units": torch.tensor(float(found.n_units)),
    }


RECORDING = Recording(
    function=slice,
    fields=("counts", "corners", "labels", "near", "n_units"),
    size=lambda n, splits: N_CELLS**2 + 11,
    source="Novak et al. 2018, arXiv:1802.08760, figure 3",
    combine=first_seed,
    requirement=needs_classes,
)
