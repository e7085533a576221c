"""Plain convolutional networks: ``depth`` convolution layers, at most one hidden linear layer, a linear read-out."""

from __future__ import annotations

from typing import ClassVar

from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, Count, Count0, LayeredSpec, Layers, require_images


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class CNNSpec(LayeredSpec):
    """A plain convolutional network.

    Args:
        depth: Number of convolution layers, at most 10,000.
        channels: Channels of every convolution layer.
        kernel: Side of the square kernel, in pixels.
        padding: Zero padding on every side, in pixels.
        stride: Stride of every convolution.
        max_pool: Whether a 2×2 max-pool with stride 2 follows every convolution layer.
        hidden_units: Units of the hidden linear layer between the last convolution and the read-out; 0 for none.
    """

    family: ClassVar[str] = "cnn"

    depth: Layers
    channels: Count
    kernel: Count = 3
    padding: Count0 = 0
    stride: Count = 1
    max_pool: bool = False
    hidden_units: Count0 = 0

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return ``depth`` × (conv, batch norm, activation, max-pool, dropout), flatten, hidden layer, linear."""
        n_in, *sides = require_images(self.family, input_shape)
        modules: list[nn.Module] = []
        for i in range(1, self.depth + 1):
            sides = [self._shrink(side, i) for side in sides]
            modules += self.hidden_conv(n_in, self.channels, self.kernel, stride=self.stride, padding=self.padding)
            if self.max_pool:
                modules.append(nn.MaxPool2d(2))
            if self.dropout:
                modules.append(nn.Dropout(self.dropout))
            n_in = self.channels
        modules.append(nn.Flatten())
        n_features = self.channels * sides[0] * sides[1]
        if self.hidden_units:
            modules += self.hidden_linear(n_features, self.hidden_units)
            n_features = self.hidden_units
        modules.append(nn.Linear(n_features, n_outputs, bias=self.bias))
        return nn.Sequential(*modules)

    def _shrink(self, side: int, layer: int) -> int:
        padded = side + 2 * self.padding
        if self.kernel > padded:
            raise InfeasibleArchitectureError(
                f"conv layer {layer}: a kernel of {self.kernel} is larger than its padded feature map of {padded}"
            )
        side = (padded - self.kernel) // self.stride + 1
        if self.max_pool:
            if side < 2:
                raise InfeasibleArchitectureError(f"max-pool {layer}: a feature map of side {side} cannot be halved")
            side //= 2
        return side
