"""Sizes of plain chains of layers from their shapes alone, hundreds of times faster than by running them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from .activations import HardSigmoid

_KEEP_SHAPE = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.Tanh, nn.Hardtanh, HardSigmoid, nn.GELU,
    nn.Dropout, nn.BatchNorm1d, nn.BatchNorm2d,
)  # fmt: skip


def chain_flops(module: nn.Module, input_shape: tuple[int, ...]) -> int | None:
    """Return the floating-point operations of one input through a chain of layers, as PyTorch's counter counts them.

    A multiplication and an addition count as two; only linear and convolution layers are counted.

    Args:
        module: A layer or nested ``nn.Sequential`` of layers.
        input_shape: Shape of one input without batch.

    Returns:
        The number; None for a layer that this function does not know, or where the shapes do not fit.
    """
    shape, total = tuple(input_shape), 0
    for layer in _leaves(module):
        if type(layer) in _KEEP_SHAPE:
            continue
        if type(layer) is nn.Flatten and layer.start_dim == 1 and layer.end_dim == -1:
            shape = (math.prod(shape),)
        elif type(layer) is nn.Linear and shape[-1] == layer.in_features:
            total += 2 * math.prod(shape) * layer.out_features
            shape = (*shape[:-1], layer.out_features)
        elif type(layer) is nn.Conv2d and len(shape) == 3 and shape[0] == layer.in_channels:
            sides = _sides_behind(layer, shape[1:])
            if sides is None:
                return None
            shape = (layer.out_channels, *sides)
            total += 2 * math.prod(shape) * math.prod(layer.kernel_size) * (layer.in_channels // layer.groups)
        elif type(layer) is nn.MaxPool2d and len(shape) == 3:
            sides = _pooled_sides(layer, shape[1:])
            if sides is None:
                return None
            shape = (shape[0], *sides)
        else:
            return None
    return total


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is nn.Sequential:
        for child in module:
            yield from _leaves(child)
    else:
        yield module


def _sides_behind(layer: nn.Conv2d, sides: tuple[int, ...]) -> tuple[int, ...] | None:
    if isinstance(layer.padding, str):
        return None
    behind = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(sides, layer.padding, layer.dilation, layer.kernel_size, layer.stride, strict=True)
    )
    return behind if min(behind) >= 1 else None


def _pooled_sides(layer: nn.MaxPool2d, sides: tuple[int, ...]) -> tuple[int, ...] | None:
    size, stride = layer.kernel_size, layer.stride
    if not (isinstance(size, int) and isinstance(stride, int)) or layer.padding != 0 or layer.dilation != 1:
        return None
    if layer.ceil_mode or min(sides) < size:
        return None
    return tuple((n - size) // stride + 1 for n in sides)
