"""Networks that are a plain chain of linear, convolution and positively homogeneous layers, batch norms folded in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from ..core.errors import InvalidInputError
from ._weights import WEIGHT_LAYERS, require_layers, with_plain_weights

# What a factor on the weights goes through unchanged: σ(c z) = c σ(z) for c > 0.
_HOMOGENEOUS = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten, nn.Unflatten),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool2d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class ChainLayer:
    """A linear or convolution layer of a chain.

    Attributes:
        weight: Its weight (n_out, n_in, …), the batch norm behind it folded in.
        bias: Its bias (n_out,), the batch norm folded in; None if it has neither.
        activations: The activations behind it, before the next layer.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    activations: tuple[nn.Module, ...] = ()


@torch.no_grad()
def chain_layers(model: nn.Module, *, what: str, advice: str = "") -> list[ChainLayer]:
    """Return the layers of a chain: nested ``nn.Sequential`` of such layers; batch norms as in evaluation mode.

    Args:
        model: The network.
        what: What needs them, for the error.
        advice: What else to take where the network is no chain.

    Raises:
        InvalidInputError: The network is no such chain, or a layer of it is not homogeneous.
    """  # noqa: DOC501 - `refused` makes the error

    def refused(reason: str) -> InvalidInputError:
        return InvalidInputError(
            f"{what} needs a plain chain of positively homogeneous layers, such as ReLU networks without shortcuts; "
            f"{reason}" + (f"; {advice}" if advice else "")
        )

    layers: list[ChainLayer] = []
    last: nn.Module | None = None
    require_layers(model)
    for layer in _flat(with_plain_weights(model)):
        if isinstance(layer, WEIGHT_LAYERS):
            layers.append(ChainLayer(layer.weight, layer.bias))
        elif isinstance(layer, _BATCH_NORMS):
            if not isinstance(last, WEIGHT_LAYERS) or layer.running_mean is None or layer.running_var is None:
                raise refused("a batch norm is not behind a linear or convolution layer, or tracks no statistics")
            fuse = fuse_linear_bn_weights if isinstance(last, nn.Linear) else fuse_conv_bn_weights
            statistics = (layer.running_mean, layer.running_var, layer.eps, layer.weight, layer.bias)
            layers[-1] = ChainLayer(*fuse(last.weight, last.bias, *statistics))
        elif not isinstance(layer, _HOMOGENEOUS):
            raise refused(f"it has a {type(layer).__name__}")
        elif layers and isinstance(layer, (nn.ReLU, nn.LeakyReLU, nn.PReLU)):
            layers[-1] = replace(layers[-1], activations=(*layers[-1].activations, layer))
        last = last if isinstance(layer, (nn.Identity, nn.Dropout)) else layer
    if not layers:
        raise refused("it has no linear or convolution layer")
    return layers


def _flat(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.Sequential):
        return [layer for part in module for layer in _flat(part)]
    return [module]
