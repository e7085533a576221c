"""Relative sensitivity: the power of the output noise that input noise causes, over that of the output signal.

Symbols as in ``output_sensitivity``:

    R_θ     mean over x and ε of ‖f(x + ε) − f(x)‖², over Σ_k Var_x f_k(x)     scalar, one network

It has no scale: multiplying the outputs by a factor changes nothing.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import nn

from ..core.device import has_float64
from ..core.errors import InvalidInputError
from ..core.module_mode import evaluation_mode
from ._metric import Metric
from ._noise_at import noise_like
from .output_sensitivity import output_noise_statistics


@torch.no_grad()
def relative_sensitivity(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
) -> float:
    """Return R_θ of one network: the output noise that input noise causes, relative to the spread of the outputs.

    Source: the noise of forouzesh2020, eq. 2, divided by the signal, which makes it a kin of the nonlinearity
    coefficient of Philipp and Carbonell, arXiv:1806.00179.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two, on the model's device.
        y: Not used.
        noise_std: Standard deviation of the input noise, in the units of ``x``.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Returns:
        R_θ; 0.0 where noise moves no output, nan where nothing does, inf or nan where outputs are not finite in float64
        either.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, there are fewer than two inputs, or they are integers.
    """
    if not noise_std > 0:
        raise InvalidInputError(f"noise_std must be greater than 0; given {noise_std}")
    if len(x) < 2:
        raise InvalidInputError(f"a variance needs at least 2 inputs; given {len(x)}")
    if not x.is_floating_point():
        raise InvalidInputError(f"noise needs floating-point inputs; given {x.dtype}; convert them first")
    noisy = noise_like(x, noise_std, generator).add_(x)

    def in_type(network: nn.Module, dtype: torch.dtype) -> float:
        with evaluation_mode(network):
            clean, moved = network(x.to(dtype)), network(noisy.to(dtype))
        _, power, signal = output_noise_statistics(clean, moved, after_softmax=False).tolist()
        return math.nan if power == signal == 0 else power / signal if signal else math.inf

    value = in_type(model, x.dtype)
    if math.isfinite(value) or x.dtype != torch.float32 or not has_float64(x.device):
        return value
    # Deep networks of standard-normal weights overflow float32 long before float64; a copy, as the network is the
    # caller's.
    return in_type(copy.deepcopy(model).double(), torch.float64)


METRIC = Metric(
    function=relative_sensitivity,
    direction="smaller",
    source="Forouzesh et al. 2020, arXiv:2007.15378, eq. 2, over the power of the signal",
    cost="2 forward",
    requirements="at least 2 inputs",
)
