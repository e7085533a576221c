"""Curvature: how much the derivative of the outputs changes along closed trajectories around inputs (novak2018).

Symbols:

    z_i     k equidistant points on a closed trajectory                 (k, *input_shape)
    f'(z)   derivative of the outputs (logits) by the input, at z       (K, D)
    C       ½ Σ_i ‖f'(z_i) − f'(z_{i+1 mod k})‖_F                       scalar, one trajectory
"""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import require_inputs
from .jacobian_norm import logit_jacobians
from .trajectories import Trajectory, positions, translations


def curvature(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    n_points: int = 128,
    n_images: int | None = 16,
    batch_size: int = 64,
    generator: torch.Generator | None = None,
) -> float:
    """Return the mean curvature C around an image, along its horizontal translations, in outputs per unit of ``x``.

    Source: novak2018 (arXiv:1802.08760), section 3, where it stands behind eq. 1 as what transitions are a cheap
    stand-in for: they count changes of linear regions, C says how large these are. The paper has no figure of it. No
    labels are used. Fewer points miss regions that are narrower than a step, and C is then too small; it is exact where
    every region on the trajectory holds a point. Of smooth networks it is a sum in the place of an integral.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Images (n, channels, height, width).
        y: Not used.
        n_points: k, points on every trajectory, at least 2.
        n_images: How many images, the first of ``x``, have a trajectory; None for all. It costs k forward and k · K
            backward passes each.
        batch_size: Points per pass; memory grows with ``batch_size`` · K.
        generator: Not used; nothing is drawn.

    Raises:
        InvalidInputError: The inputs are no images, the outputs no matrix (n, K), or ``n_points`` is less than 2.
    """
    require_inputs(x, 1)
    sums = [
        curvature_steps(model, translations(image), x[0], n_points, batch_size=batch_size).sum()
        for image in x[:n_images]
    ]
    return float(torch.stack(sums).mean()) / 2


def curvature_steps(
    model: nn.Module, trajectory: Trajectory, like: torch.Tensor, n_points: int, *, batch_size: int = 64
) -> torch.Tensor:
    """Return ‖f'(z_i) − f'(z_{i+1 mod k})‖_F (k,), float64, for each of k steps along a closed trajectory.

    Args:
        model: The network; it is evaluated in evaluation mode.
        trajectory: See :mod:`nas_sens.metrics.trajectories`.
        like: An input (*input_shape), for type and device.
        n_points: k.
        batch_size: Points per pass.

    Raises:
        InvalidInputError: The outputs are no matrix (n, K), or ``n_points`` is less than 2.
    """
    if n_points < 2 or batch_size < 1:
        raise InvalidInputError(
            f"at least 2 points and 1 per pass are needed; given n_points = {n_points}, batch_size = {batch_size}"
        )
    points = trajectory(positions(n_points, like=like))
    steps: list[torch.Tensor] = []
    first = last = points.new_empty(0)  # derivatives where the round began, and where the batch before this one ended
    for _, rows in logit_jacobians(model, points, batch_size):
        here = rows.movedim(1, 0)  # (b, K, D)
        first, before = (first, last) if len(first) else (here[:1], here[:0])
        line = torch.cat([before, here])
        steps.append(_norms(line[1:] - line[:-1]))
        last = here[-1:]
    return torch.cat([*steps, _norms(first - last)]).double()


def _norms(change: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(change.flatten(1), dim=1)


METRIC = Metric(
    function=curvature,
    direction="smaller",
    source="Novak et al. 2018, arXiv:1802.08760, section 3",
    cost="128 (forward + K backward) for each of 16 images",
    requirements="images",
)
