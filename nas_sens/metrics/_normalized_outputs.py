"""Outputs of the normalised network, f̃ = f / ρ (liao2019, eq. 1 and 7)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ._network import outputs_of, require_inputs
from .norm_product import log_norm_product


def normalized_outputs(model: nn.Module, x: torch.Tensor, *, p: float = 2.0, batch_size: int = 256) -> torch.Tensor:
    """Return f̃ (n, K) of every input, float64 on the CPU; see `scaled_outputs` for what is raised."""
    require_inputs(x, 1)
    return scaled_outputs(model, x, log_divisor=log_norm_product(model, p=p), batch_size=batch_size)


def scaled_outputs(
    model: nn.Module, x: torch.Tensor, *, log_divisor: torch.Tensor, batch_size: int = 256
) -> torch.Tensor:
    """Return the outputs (n, K) divided by exp(``log_divisor``), float64 on the CPU; nan for a divisor 0.

    Raises:
        InvalidInputError: There are no inputs.
    """
    outputs = outputs_of(model, x, batch_size=batch_size)
    divisor = float(log_divisor)
    return outputs * (math.nan if divisor == -math.inf else math.exp(-divisor))
