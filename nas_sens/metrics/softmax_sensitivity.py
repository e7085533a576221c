"""S after the softmax, as one number of a network: a comparator of the output sensitivity."""

from __future__ import annotations

import torch
from torch import nn

from ._metric import Metric
from .output_sensitivity import output_sensitivity


def softmax_sensitivity(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor | None = None,
    *,
    noise_std: float = 0.1,
    generator: torch.Generator | None = None,
) -> float:
    """Return S_θ of the class probabilities: (1/K²) Σ_k Var(ε_y^k), ε_y = softmax f(x + ε) − softmax f(x).

    Source: the comparator of forouzesh2020, Table I and figure 12, which give no formula. Literally, eq. 2 is 0 there
    for every network, as probabilities sum to 1; what a program finds of it is rounding, about 1e-17 of outputs that
    are not saturated and less where they are. This is what eq. 2 gives for outputs whose noises are uncorrelated. Of
    saturated outputs it counts the inputs whose class noise changes, and is 0 where it changes none.

    Args:
        model: Maps (n, *input_shape) to (n, K).
        x: Inputs (n, *input_shape), at least two, on the model's device.
        y: Not used.
        noise_std: Standard deviation of the input noise, in the units of ``x``.
        generator: Source of the noise, on the device of ``x``; torch's global generator if None.

    Raises:
        InvalidInputError: ``noise_std`` is not positive, there are fewer than two inputs, or they are integers.
    """
    return output_sensitivity(model, x, noise_std=noise_std, generator=generator, after_softmax=True)


METRIC = Metric(
    function=softmax_sensitivity,
    direction="smaller",
    source="Forouzesh et al. 2020, arXiv:2007.15378, Table I and figure 12",
    cost="2 forward",
    requirements="at least 2 inputs",
)
