"""Closed trajectories through input space, along which novak2018 measures sensitivity (arXiv:1802.08760).

A trajectory maps positions t (m,), 1 being one round, to points (m, *input_shape); t and t + 1 give the same point.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ..core.errors import InvalidInputError

Trajectory = Callable[[torch.Tensor], torch.Tensor]


def positions(n_points: int, *, like: torch.Tensor) -> torch.Tensor:
    """Return 0, 1/k, …, (k - 1)/k, the positions of k = ``n_points`` points, of the device and type of ``like``."""
    return torch.arange(n_points, device=like.device, dtype=like.dtype) / n_points


def translations(image: torch.Tensor) -> Trajectory:
    """Return the closed interpolation through all horizontal translations of an image (section 3 and figure App.9).

    The image leaves on one side and comes in on the other; position j / width is the image moved by j pixels to the
    right. As all translations lie equally far from their neighbours, equal steps of t are equal distances.

    Args:
        image: One image (channels, height, width).

    Raises:
        InvalidInputError: It is no image.
    """
    if image.ndim != 3:
        raise InvalidInputError(
            f"translations need an image (channels, height, width); given the shape {tuple(image.shape)}"
        )
    width = image.shape[-1]
    moved = torch.stack([image.roll(j, dims=-1) for j in range(width)])

    def at(t: torch.Tensor) -> torch.Tensor:
        place = (t % 1) * width
        j = place.floor().long() % width
        share = (place - place.floor())[:, None, None, None].to(moved.dtype)
        return torch.lerp(moved[j], moved[(j + 1) % width], share)

    return at


def ellipse(centre: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> Trajectory:
    """Return centre + cos(2πt) · first + sin(2πt) · second, all of the shape of one input."""

    def at(t: torch.Tensor) -> torch.Tensor:
        angle = (2 * math.pi * t).view(-1, *[1] * centre.ndim)
        return centre + angle.cos() * first + angle.sin() * second

    return at


def ellipse_through(first: torch.Tensor, second: torch.Tensor, third: torch.Tensor) -> Trajectory:
    """Return the ellipse through three inputs (section A.5.2), which are its points at t = 1/6, 1/2 and 5/6.

    A plane is laid through them in which they form an equilateral triangle; the ellipse is the circle through its
    corners, mapped back. It is the ellipse of the least area through them, and has their mean for its centre.
    """
    return ellipse(*axes_through(first, second, third))


def axes_through(
    first: torch.Tensor, second: torch.Tensor, third: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return centre and two axes of that ellipse: centre + cos · axis + sin · axis at π/3, π, 5π/3 are the inputs."""
    centre = (first + second + third) / 3
    # cos, sin of 2πt at the three: (1/2, √3/2), (-1, 0), (1/2, -√3/2)
    return centre, centre - second, (first - third) / math.sqrt(3)
