"""Batch sensitivity: the output sensitivity S of a network whose batch norms normalise by the batch at hand.

Symbols as in ``output_sensitivity``; f here is the network with batch statistics, those of x and x + ε together.

    S_B     Var over x and ε of (1/K) Σ_k [f_k(x + ε) − f_k(x)]     scalar, one network

Untrained batch norms have running statistics (0 and 1) that normalise nothing, so that S grows with every layer by what
its weights multiply by. By the batch, layers keep their scale, and what is left is how much each one turns and mixes.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..core.device import has_float64
from ..core.errors import InvalidInputError
from ._metric import Metric
from ._network import probing_mode, require_inputs
from ._noise_at import noise_like
from ._weights import copy_of
from .output_sensitivity import output_noise_variance


@torch.no_grad()
def batch_sensitivity(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
) -> float:
    """Return S_B of one network, the output sensitivity with batch statistics.

    Source: the noise of forouzesh2020, eq. 2, with the batch norms of the training-free literature. x and x + ε go
    through in one pass, so that both are normalised by the same statistics; running ones stay as they are, dropout is
    off. Without batch norms it is the output sensitivity. Meant for ``he_normal`` weights. Larger is expected to be
    better, as on NAS-Bench-201 (benchmarks/results/sensitivity_kernel.json).

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), one minibatch, at least two.
        y: Not used.
        noise_std: Standard deviation of the input noise, in the units of ``x``.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Returns:
        S_B; 0.0 where noise moves no output, inf or nan where outputs are not finite in float64 either.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, there are fewer than two inputs, or they are integers.
    """
    if not noise_std > 0:
        raise InvalidInputError(f"noise_std must be greater than 0; given {noise_std}")
    require_inputs(x, 2)
    noisy = noise_like(x, noise_std, generator).add_(x)

    def in_type(network: nn.Module, dtype: torch.dtype) -> float:
        with probing_mode(network, batch_statistics=True):
            clean, moved = network(torch.cat([x, noisy]).to(dtype)).chunk(2)
        return float(output_noise_variance(clean, moved, after_softmax=False))

    value = in_type(model, x.dtype)
    if math.isfinite(value) or x.dtype != torch.float32 or not has_float64(x.device):
        return value
    return in_type(copy_of(model).double(), torch.float64)  # deep networks without norms overflow float32


METRIC = Metric(
    function=batch_sensitivity,
    direction="larger",
    source="Forouzesh et al. 2020, arXiv:2007.15378, eq. 2, with batch statistics",
    cost="2 forward",
    requirements="at least 2 inputs",
)
