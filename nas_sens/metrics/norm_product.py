"""Product of the norms of all layers, batch norms folded into them, as log10 (liao2019)."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..core.errors import InvalidInputError
from ._chain import chain_layers
from ._metric import Metric


def norm_product(
    model: nn.Module,
    x: torch.Tensor | None = None,
    y: torch.Tensor | None = None,
    *,
    p: float = 2.0,
    generator: torch.Generator | None = None,
) -> float:
    """Return log10 ρ, ρ = Π_k ‖W_k‖, over all linear and convolution layers of a chain of homogeneous layers.

    Source: liao2019, eq. 1 and figure 13: of networks with the same small training loss, the smaller product is
    expected to have the smaller test error. Batch norms are folded into the layer before them, with their running
    statistics. Biases have no part in it: the paper's networks have none behind the first layer.

    Args:
        model: A chain: nested ``nn.Sequential`` of linear, convolution, batch-norm and positively homogeneous layers.
        x: Not used.
        y: Not used.
        p: The norm is (Σ|w|^p)^(1/p): 2 for Frobenius. That of p = 1 is divided by 100, as in the paper's figure 9.
        generator: Not used; nothing is drawn.

    Returns:
        The logarithm; -inf where the weights of a layer are all 0.

    Raises:
        InvalidInputError: ``p`` is less than 1, or the product of layer norms has no meaning for this network.
    """
    return float(log_norm_product(model, p=p)) / math.log(10)


@torch.no_grad()
def log_norm_product(model: nn.Module, *, p: float = 2.0) -> torch.Tensor:
    """Return the natural logarithm of ρ, a scalar on the device, without waiting for it; see :func:`norm_product`.

    Raises:
        InvalidInputError: ``p`` is less than 1, or the product has no meaning for this network.
    """
    if not p >= 1:
        raise InvalidInputError(f"a norm needs p of at least 1; given p = {p}")
    layers = chain_layers(model, what="the product of layer norms", advice="take output_normalized_loss instead")
    norms = torch.stack([torch.linalg.vector_norm(layer.weight.double(), ord=p) for layer in layers])
    return norms.div(100.0 if p == 1 else 1.0).log().sum()


METRIC = Metric(
    function=norm_product,
    direction="smaller",
    source="Liao et al. 2019, figure 13",
    cost="nothing",
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
