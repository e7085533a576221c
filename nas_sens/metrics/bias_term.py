"""What biases add to the variance of outputs that sensitivity predicts: Σ of forouzesh2020, eq. 8."""

from __future__ import annotations

import torch
from torch import nn

from ._chain import ChainLayer, chain_layers
from ._metric import Metric


@torch.no_grad()
def bias_term(
    model: nn.Module,
    x: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
) -> float:
    """Return Σ = 1/K Σ_l σ_b,l² Π_{i>l} ½(α² + β²) σ_w,i² fan_in,i over the layers l of a chain, in output units².

    Source: forouzesh2020, eq. 8, which stands beside S · σ_x²/σ_ε² in eq. 7 and 9, and which the paper's figures
    neglect, as :func:`nas_sens.metrics.predicted_loss.predicted_loss` does: this is how much that is. σ_w² and σ_b² are
    means of the squares of present weights and biases, batch norms folded into them; α and β are the slopes of the
    activation before layer i, 1 where there is none; fan_in takes the place of the paper's H, as in its footnote 5. At
    random weights of mean 0 it is what biases add to the variance of the mean of K outputs, exactly; max-pooling, which
    is not in the equation, counts as nothing.

    Args:
        model: A chain: nested ``nn.Sequential`` of linear, convolution, batch-norm and positively homogeneous layers.
        x: Not used.
        y: Not used.
        generator: Not used; nothing is drawn.

    Returns:
        The term; 0 for a network without biases.

    Raises:
        InvalidInputError: The network is no such chain.
    """
    layers = chain_layers(model, what="the term of biases")
    total = layers[0].weight.new_zeros((), dtype=torch.float64)
    for before, layer in zip((None, *layers), layers, strict=False):
        total = total * _gain(before) * _mean_square(layer.weight) * layer.weight[0].numel()
        if layer.bias is not None:
            total = total + _mean_square(layer.bias)
    return float(total / len(layers[-1].weight))


def _gain(layer: ChainLayer | None) -> torch.Tensor | float:
    """Return ½(α² + β²) of the activations behind a layer, eq. 11; of slopes a channel their mean square."""
    gain: torch.Tensor | float = 1.0
    for activation in () if layer is None else layer.activations:
        slope = getattr(activation, "negative_slope", 0.0)
        squared = _mean_square(activation.weight) if isinstance(activation, nn.PReLU) else slope**2
        gain = gain * (1 + squared) / 2
    return gain


def _mean_square(values: torch.Tensor) -> torch.Tensor:
    return values.double().square().mean()


METRIC = Metric(
    function=bias_term,
    direction="smaller",
    source="Forouzesh et al. 2020, eq. 8",
    cost="nothing",
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
