"""Linear regions: how often units change theirs along closed trajectories around inputs (novak2018, eq. 1).

Symbols:

    z_i     k equidistant points on a closed trajectory         (k, *input_shape)
    c(z)    index of the linear region of every unit at z       (k, units)
    t       Σ_i ‖c(z_i) − c(z_{i+1 mod k})‖₁, "transitions"     scalar, one trajectory
"""

from __future__ import annotations

import torch
from torch import nn

from ..architectures.activations import HardSigmoid
from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._network import require_inputs
from .trajectories import Trajectory, positions, translations


def linear_regions(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    n_points: int = 256,
    n_images: int | None = 16,
    batch_size: int = 1024,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean number of transitions around an image, along its horizontal translations.

    Source: novak2018 (arXiv:1802.08760), section 3, measure 2, and eq. 1. Fewer transitions are a simpler function; the
    paper finds no general correlation with the generalisation gap (figure App.7). No labels are used. Exact where at
    most one region of a unit lies between two points; fewer points miss narrow regions. Max-pooling, which is piecewise
    linear, too, is not counted, nor are activations called as functions.

    Args:
        model: Has activations with linear regions: see :func:`region_index`.
        x: Images (n, channels, height, width).
        y: Not used.
        n_points: k, points on every trajectory.
        n_images: How many images, the first of ``x``, have a trajectory; None for all. It costs k forward passes each.
        batch_size: Points per pass.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: The inputs are no images, or no activation with linear regions is called.
    """
    require_inputs(x, 1)
    counts = [
        transitions(model, translations(image), x[0], n_points, batch_size=batch_size).sum() for image in x[:n_images]
    ]
    return float(torch.stack(counts).double().mean())


@torch.no_grad()
def transitions(
    model: nn.Module, trajectory: Trajectory, like: torch.Tensor, n_points: int, *, batch_size: int = 1024
) -> torch.Tensor:
    """Return ‖c(z_i) − c(z_{i+1 mod k})‖₁ (k,), int64, for each of k steps along a closed trajectory.

    Args:
        model: The network; it is evaluated in evaluation mode.
        trajectory: See :mod:`nas_sens.metrics.trajectories`.
        like: An input (*input_shape), for type and device.
        n_points: k.
        batch_size: Points per pass, which bounds memory whatever k is.

    Raises:
        InvalidInputError: No activation with linear regions is called, or ``n_points`` is less than 2.
    """
    if n_points < 2 or batch_size < 1:
        raise InvalidInputError(
            f"at least 2 points and 1 per pass are needed; given n_points = {n_points}, batch_size = {batch_size}"
        )
    t = positions(n_points, like=like)
    t = torch.cat([t, t[:1]])  # the round ends where it began
    steps = torch.zeros(n_points, dtype=torch.int64, device=like.device)
    part = slice(0, 0)
    n_calls = 0

    # A pre-hook, since an in-place activation has overwritten its input when a forward hook sees it.
    def count(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        nonlocal n_calls
        n_calls += 1
        code = region_index(module, arguments[0]).flatten(1)
        steps[part] += (code[1:] - code[:-1]).abs().sum(dim=1, dtype=torch.int64)

    hooks = [m.register_forward_pre_hook(count) for m in model.modules() if isinstance(m, WITH_REGIONS)]
    try:
        with evaluation_mode(model):
            for start in range(0, n_points, batch_size):
                part = slice(start, min(start + batch_size, n_points))
                model(trajectory(t[part.start : part.stop + 1]))
    finally:
        for hook in hooks:
            hook.remove()
    if not n_calls:
        names = sorted({kind.__name__ for kind in WITH_REGIONS})
        raise InvalidInputError(f"an activation with linear regions is needed ({', '.join(names)}); none is called")
    return steps


def region_index(module: nn.Module, z: torch.Tensor) -> torch.Tensor:
    """Return the index, int8, of the linear region that each pre-activation ``z`` lies in, from the lowest up.

    ReLU and its leaky kin have two regions, ReLU6, Hardtanh, nas_sens's HardSigmoid and torch's Hardsigmoid three; of
    Tanh, which has none, the sign counts.
    """
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one from 0 to 6
        bounds: tuple[float, ...] = (module.min_val, module.max_val)
    elif isinstance(module, HardSigmoid):
        bounds = (-0.5, 0.5)
    elif isinstance(module, nn.Hardsigmoid):
        bounds = (-3.0, 3.0)
    else:
        bounds = (0.0,)
    index = (z > bounds[0]).to(torch.int8)
    for bound in bounds[1:]:
        index += z > bound
    return index


WITH_REGIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.Hardtanh, HardSigmoid, nn.Hardsigmoid, nn.Tanh)


METRIC = Metric(
    function=linear_regions,
    direction="smaller",
    source="Novak et al. 2018, arXiv:1802.08760, section 3, eq. 1",
    cost="256 forward for each of 16 images",
    requirements="images; piecewise-linear activations or Tanh",
)
