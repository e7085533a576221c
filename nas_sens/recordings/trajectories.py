"""Trajectories: Jacobian norm and transitions near training inputs and away from them (novak2018, figure 2).

Symbols:

    t       position on an ellipse, 1 being a round; training inputs lie at 1/6, 1/2 and 5/6
    z(t)    the input there                                                     (*input_shape)
    D       number of entries of an input
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..metrics.jacobian_norm import jacobian_norms
from ..metrics.linear_regions import transitions
from ..metrics.trajectories import Trajectory, ellipse, ellipse_through, positions
from ._recording import Arrays, Recorded, Recording, needs_classes

KINDS = ("same", "different", "random")
N_POSITIONS, N_STEPS, N_ELLIPSES = 60, 16, 8  # along a round; between two of these; of each kind
ANCHORS = (1 / 6, 1 / 2, 5 / 6)


def trajectories(model: nn.Module, recorded: Recorded) -> Arrays:
    """Return what a network does along three kinds of ellipses, each the mean over 8 of them.

    Source: novak2018 (arXiv:1802.08760), section 4.1 and A.5.2. Ellipses through three training inputs of the ``same``
    class, of three ``different`` classes, and zero-centred ``random`` ones, whose points are as far from 0, on average,
    as inputs of unit variance (``[data] unit_variance``): E‖z‖² = D. Labels are those that are trained on. The fields,
    with the kind behind the name:

    - ``position`` (60,): t.
    - ``norm_`` (60,): ‖J(z(t))‖_F of the class probabilities, per unit of input.
    - ``density_`` (60,): transitions (eq. 1) per unit of length, over the step of 1/60 about t, by 16 parts of it.
    - ``distance_`` (60,): distance of z(t) to the nearest training input of those that are asked for, divided by √D.
    - ``anchors`` (3,): positions of the training inputs.

    Raises:
        InvalidInputError: No class has three inputs, there are fewer than three classes, or the network has no linear
            regions.
    """
    x, y = recorded.train
    found: Arrays = {"position": positions(N_POSITIONS, like=x).double()}
    columns: dict[str, list[torch.Tensor]] = {}
    for kind in KINDS:
        for _ in range(N_ELLIPSES):
            at = _draw(kind, x, y, recorded.generator)
            for name, values in along(model, at, x).items():
                columns.setdefault(f"{name}_{kind}", []).append(values)
    for name in RECORDING.fields:
        if name in columns:
            found[name] = torch.stack(columns[name]).mean(dim=0)
    return {**found, "anchors": torch.tensor(ANCHORS)}


def along(model: nn.Module, at: Trajectory, x: torch.Tensor) -> Arrays:
    """Return ``norm``, ``density`` and ``distance`` (60,) along one ellipse; see :func:`trajectories`.

    Args:
        model: The network.
        at: The ellipse.
        x: Training inputs (n, *input_shape).
    """
    points = at(positions(N_POSITIONS, like=x))
    n_fine = N_POSITIONS * N_STEPS
    fine = at(positions(n_fine, like=x)).flatten(1)
    lengths = torch.linalg.vector_norm(fine.roll(-1, 0) - fine, dim=1).double()
    steps = transitions(model, at, x[0], n_fine).double()
    nearest = torch.cdist(points.flatten(1).double(), x.flatten(1).double()).amin(dim=1)
    return {
        "norm": jacobian_norms(model, points).double(),
        "density": _about(steps) / _about(lengths),
        "distance": nearest / math.sqrt(x[0].numel()),
    }


def _about(steps: torch.Tensor) -> torch.Tensor:
    """Return sums (60,) of fine steps (960,) over the half of a step before each position and the half behind it."""
    return steps.roll(N_STEPS // 2).view(N_POSITIONS, N_STEPS).sum(dim=1)


def _draw(kind: str, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> Trajectory:
    if kind == "random":
        axes = [torch.randn(x.shape[1:], generator=generator).to(x) for _ in range(2)]
        return ellipse(torch.zeros_like(x[0]), *axes)
    members = [places for c in y.unique().tolist() if len(places := (y == c).nonzero().flatten().tolist())]
    if kind == "same":
        members = [places for places in members if len(places) >= 3]
    if len(members) < (1 if kind == "same" else 3):
        raise InvalidInputError(
            "three training inputs of one class, and three classes, are needed; raise recording_inputs"
        )
    order = torch.randperm(len(members), generator=generator).tolist()
    if kind == "same":
        places = members[order[0]]
        chosen = [places[i] for i in torch.randperm(len(places), generator=generator)[:3].tolist()]
    else:
        three = [members[i] for i in order[:3]]
        chosen = [places[int(torch.randint(len(places), (), generator=generator))] for places in three]
    return ellipse_through(*(x[i] for i in chosen))


_FIELDS = tuple(f"{name}_{kind}" for name in ("norm", "density", "distance") for kind in KINDS)
RECORDING = Recording(
    function=trajectories,
    fields=("position", *_FIELDS, "anchors"),
    size=lambda n, splits: (1 + len(_FIELDS)) * N_POSITIONS + 3,
    source="Novak et al. 2018, arXiv:1802.08760, figure 2",
    requirement=needs_classes,
)
