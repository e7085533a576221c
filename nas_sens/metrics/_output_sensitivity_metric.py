"""The record of the output sensitivity; the measure itself is in ``output_sensitivity.py`` and takes no labels."""

from __future__ import annotations

import torch
from torch import nn

from . import output_sensitivity as _module
from ._metric import Metric


def output_sensitivity(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
) -> float:
    """Return S_θ, see :func:`nas_sens.metrics.output_sensitivity.output_sensitivity`; ``y`` is not used."""
    return _module.output_sensitivity(model, x, noise_std=noise_std, generator=generator)


METRIC = Metric(
    function=output_sensitivity,
    direction="smaller",
    source="Forouzesh et al. 2020, arXiv:2007.15378, eq. 2",
    cost="2 forward",
    requirements="at least 2 inputs",
)
