"""Product of the norms of all layers, batch norms folded into them, as log10 (liao2019)."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from ..core.errors import InvalidInputError
from ._metric import Metric
from ._weights import WEIGHT_LAYERS, require_layers, with_plain_weights

# What a factor on the weights goes through unchanged: σ(c z) = c σ(z) for c > 0.
_HOMOGENEOUS = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten, nn.Unflatten),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool2d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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
    norms = torch.stack([torch.linalg.vector_norm(w.double(), ord=p) for w in folded_weights(model)])
    return norms.div(100.0 if p == 1 else 1.0).log().sum()


@torch.no_grad()
def folded_weights(model: nn.Module) -> list[torch.Tensor]:
    """Return the weights of a chain's linear and convolution layers, each with the batch norm behind it folded in.

    Raises:
        InvalidInputError: The network is no such chain, or a layer of it is not homogeneous.
    """  # noqa: DOC501 - `_meaningless` makes the error
    weights: list[torch.Tensor] = []
    last: nn.Module | None = None
    require_layers(model)
    for layer in _chain(with_plain_weights(model)):
        if isinstance(layer, WEIGHT_LAYERS):
            weights.append(layer.weight)
        elif isinstance(layer, _BATCH_NORMS):
            if not isinstance(last, WEIGHT_LAYERS) or layer.running_mean is None or layer.running_var is None:
                raise _meaningless("a batch norm is not behind a linear or convolution layer, or tracks no statistics")
            fuse = fuse_linear_bn_weights if isinstance(last, nn.Linear) else fuse_conv_bn_weights
            statistics = (layer.running_mean, layer.running_var, layer.eps, layer.weight, layer.bias)
            weights[-1] = fuse(last.weight, last.bias, *statistics)[0]
        elif not isinstance(layer, _HOMOGENEOUS):
            raise _meaningless(f"it has a {type(layer).__name__}")
        last = last if isinstance(layer, (nn.Identity, nn.Dropout)) else layer
    if not weights:
        raise _meaningless("it has no linear or convolution layer")
    return weights


def _chain(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [layer for part in module for layer in _chain(part)]
    return [module]


def _meaningless(reason: str) -> InvalidInputError:
    return InvalidInputError(
        f"the product of layer norms needs a plain chain of positively homogeneous layers, such as ReLU networks "
        f"without shortcuts; {reason}; take output_normalized_loss instead"
    )


METRIC = Metric(
    function=norm_product,
    direction="smaller",
    source="Liao et al. 2019, figure 13",
    cost="nothing",
    requirements="a chain of linear, convolution, batch-norm and positively homogeneous layers",
)
