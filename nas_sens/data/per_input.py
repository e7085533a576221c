"""What is done to every input by itself, after standardising."""

from __future__ import annotations

from collections.abc import Callable

import torch

_ROUNDING = 1e-6  # of the mean in float32: smaller deviations of a constant input are this


def unit_norm(x: torch.Tensor) -> torch.Tensor:
    """Return inputs (n, *shape) divided by their Euclidean norms; inputs of zeros stay."""
    return _divided(x, torch.linalg.vector_norm(x.flatten(1), dim=1))


def unit_variance(x: torch.Tensor) -> torch.Tensor:
    """Return inputs (n, *shape) less their means, divided by their standard deviations; of constant ones zeros.

    With d numbers each they lie on the sphere of radius √d (Novak et al., arXiv:1802.08760, section A.5).
    """
    mean = x.flatten(1).mean(dim=1)
    x = x - mean.view(-1, *[1] * (x.ndim - 1))
    sd = x.flatten(1).square().mean(dim=1).sqrt()
    return _divided(x, torch.where(sd > _ROUNDING * mean.abs(), sd, 0.0))


def _divided(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return x / torch.where(by > 0, by, 1.0).view(-1, *[1] * (x.ndim - 1))


# By the key of [data] that asks for it.
PER_INPUT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"unit_norm": unit_norm, "unit_variance": unit_variance}
