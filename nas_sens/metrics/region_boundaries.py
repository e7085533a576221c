"""Boundaries of the linear regions of the last hidden layer in a plane through three inputs (novak2018, figure 3).

Symbols:

    (u, v)  coordinates of the plane, both from -1 to 1; the mean of the three inputs lies at (0, 0)
    z(u, v) the input there                                     (*input_shape)
    c(z)    index of the linear region of every unit at z       (units,)

There is no ``METRIC`` record: a map is to be looked at; `linear_regions` counts transitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._network import require_inputs
from .linear_regions import WITH_REGIONS, region_index
from .trajectories import axes_through

RADIUS = 0.8  # distance of the three inputs from the centre, as in the paper


@dataclass(frozen=True)
class BoundaryMap:
    """How many units change their region between neighbouring points of a grid.

    Attributes:
        counts: Σ over units of |c(i, j) − c(i, j + 1)| + |c(i, j) − c(i + 1, j)|, of those neighbours that are there
            (n_points, n_points), int64; row i has the i-th smallest v, column j the j-th smallest u.
        corners: Where the three inputs lie: (u, v) of each (3, 2).
        layer: Name of the activation module whose units are counted.
        n_units: How many they are.
    """

    counts: torch.Tensor
    corners: torch.Tensor
    layer: str
    n_units: int


@torch.no_grad()
def region_boundaries(
    model: nn.Module, points: torch.Tensor, *, n_points: int = 256, batch_size: int = 1024
) -> BoundaryMap:
    """Return the boundaries of the last hidden layer's linear regions in the plane through three inputs.

    Source: novak2018 (arXiv:1802.08760), figure 3 and section A.5.3: the inputs are corners of an equilateral triangle
    of radius 0.8 about the centre, and the grid covers [-1, 1]². After training, training points are found where
    boundaries are few. Exact where at most one region of a unit lies between two neighbours. The last hidden layer is
    the last activation with linear regions (see :func:`nas_sens.metrics.linear_regions.region_index`) that is called.
    No labels are used. Cost: n_points² forward passes of one input.

    Args:
        model: The network; it is evaluated in evaluation mode.
        points: Three inputs (3, *input_shape), for example of three classes.
        n_points: Points of the grid along u and along v, at least 2 (the paper has 1,024).
        batch_size: Points per pass, at least two rows of the grid being taken; bounds memory whatever n_points is.

    Raises:
        InvalidInputError: There are not three inputs, too few points, or no activation with linear regions is called.
    """
    require_inputs(points, 1)
    if len(points) != 3 or n_points < 2 or batch_size < 1:
        raise InvalidInputError(
            "a plane needs 3 inputs, and a grid at least 2 points a side and 1 a pass; given "
            f"{len(points)} inputs, n_points = {n_points}, batch_size = {batch_size}"
        )
    at = plane_through(points)
    side = torch.linspace(-1, 1, n_points, device=points.device, dtype=points.dtype)
    counts = torch.zeros((n_points, n_points), dtype=torch.int64, device=points.device)
    n_rows = max(1, batch_size // n_points - 1)  # of a band; one more is evaluated, which the next band begins with
    with evaluation_mode(model):
        layer, call, n_units = _last_hidden_layer(model, points)
        for start in range(0, n_points, n_rows):
            v = side[start : start + n_rows + 1]
            grid = torch.cartesian_prod(v, side).flip(1)  # (u, v) row by row
            code = _codes(model, at(grid), call).view(len(v), n_points, -1)
            band = counts[start : start + n_rows]
            band[:, :-1] += _changes(code[: len(band), 1:], code[: len(band), :-1])
            band[: len(v) - 1] += _changes(code[1:], code[:-1])
    angles = torch.tensor([1 / 6, 1 / 2, 5 / 6], dtype=torch.float64) * 2 * math.pi
    corners = RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)
    return BoundaryMap(counts, corners, layer, n_units)


def plane_through(points: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the map from (u, v) (m, 2) to inputs (m, *input_shape) of the plane through three inputs.

    They lie at distance 0.8 from (0, 0), at the angles π/3, π and 5π/3, as on the ellipse of
    :func:`nas_sens.metrics.trajectories.ellipse_through`.

    Args:
        points: The three inputs (3, *input_shape).
    """
    centre, *axes = axes_through(*points)
    first, second = axes

    def at(plane: torch.Tensor) -> torch.Tensor:
        u, v = (plane / RADIUS).view(-1, 2, *[1] * centre.ndim).unbind(dim=1)
        return centre + u * first + v * second

    return at


def _changes(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return (left - right).abs().sum(dim=2, dtype=torch.int64)


def _last_hidden_layer(model: nn.Module, points: torch.Tensor) -> tuple[str, int, int]:
    """Return name, number of the call, and units of the last activation with linear regions that is called.

    Raises:
        InvalidInputError: None is called.
    """
    calls: list[tuple[nn.Module, int]] = []
    _with_hooks(model, lambda module, z: calls.append((module, z[0].numel())), points[:1])
    if not calls:
        names = sorted({kind.__name__ for kind in WITH_REGIONS})
        raise InvalidInputError(f"an activation with linear regions is needed ({', '.join(names)}); none is called")
    last, n_units = calls[-1]
    return next(name for name, m in model.named_modules() if m is last), len(calls), n_units


def _codes(model: nn.Module, inputs: torch.Tensor, call: int) -> torch.Tensor:
    """Return the regions (n, units) of the units of the activation that is called as number ``call``."""
    n_calls, codes = 0, []

    def keep(module: nn.Module, z: torch.Tensor) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls == call:
            codes.append(region_index(module, z).flatten(1))

    _with_hooks(model, keep, inputs)
    return codes[0]


def _with_hooks(model: nn.Module, see: Callable[[nn.Module, torch.Tensor], None], inputs: torch.Tensor) -> None:
    # Pre-hooks, since an in-place activation has overwritten its input when a forward hook sees it.
    hooks = [
        m.register_forward_pre_hook(lambda module, arguments: see(module, arguments[0]))
        for m in model.modules()
        if isinstance(m, WITH_REGIONS)
    ]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
