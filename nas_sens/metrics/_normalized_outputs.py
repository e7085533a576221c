"""Outputs of the normalised network, f̃ = f / ρ (liao2019, eq. 1 and 7)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..core.module_mode import evaluation_mode
from ._network import require_inputs
from .norm_product import log_norm_product


def normalized_outputs(model: nn.Module, x: torch.Tensor, *, p: float = 2.0, batch_size: int = 256) -> torch.Tensor:
    """Return f̃ (n, K) of every input, float64 on the CPU; see `scaled_outputs` for what is raised."""
    require_inputs(x, 1)
    return scaled_outputs(model, x, log_divisor=log_norm_product(model, p=p), batch_size=batch_size)


@torch.no_grad()
def scaled_outputs(
    model: nn.Module, x: torch.Tensor, *, log_divisor: torch.Tensor, batch_size: int = 256
) -> torch.Tensor:
    """Return the outputs (n, K) divided by exp(``log_divisor``), in evaluation mode; nan for a divisor 0.

    The device is waited for when it has computed all outputs; what is made of them is the CPU's work.

    Raises:
        InvalidInputError: There are no inputs.
    """
    require_inputs(x, 1)
    with evaluation_mode(model):
        outputs = torch.cat([model(inputs) for inputs in x.split(batch_size)]).cpu().double()
    divisor = float(log_divisor)
    return outputs * (math.nan if divisor == -math.inf else math.exp(-divisor))
