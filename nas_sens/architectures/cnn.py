"""Plain convolutional networks: ``depth`` convolution layers, at most one hidden linear layer, a linear read-out."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, Count, Count0, LayeredSpec, Layers, require_images
from .lists import OneOrMoreCounts, check_length, for_each, with_length


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class CNNSpec(LayeredSpec):
    """A plain convolutional network.

    Args:
        depth: Number of convolution layers, at most 10,000. With a list of channels it may be left out.
        channels: Channels of all convolution layers, or a list with those of each.
        kernel: Side of the square kernel, in pixels.
        padding: Zero padding on every side, in pixels.
        stride: Stride of every convolution.
        max_pool: Whether a 2×2 max-pool with stride 2 follows every convolution layer.
        hidden_units: Units of the hidden linear layer between the last convolution and the read-out; 0 for none.
    """

    family: ClassVar[str] = "cnn"

    depth: Layers
    channels: OneOrMoreCounts
    kernel: Count = 3
    padding: Count0 = 0
    stride: Count = 1
    max_pool: bool = False
    hidden_units: Count0 = 0

    @model_validator(mode="before")
    @classmethod
    def _count_layers(cls, given: Any) -> Any:
        return with_length(given, "depth", "channels")

    @model_validator(mode="after")
    def _check_channels(self) -> CNNSpec:
        check_length(self.channels, self.depth, "channels", "convolution layers (depth)")
        return self

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return ``depth`` × (conv, batch norm, activation, max-pool, dropout), flatten, hidden layer, linear."""
        n_in, *sides = require_images(self.family, input_shape)
        modules: list[nn.Module] = []
        for i, n_out in enumerate(for_each(self.channels, self.depth), start=1):
            sides = [self._shrink(side, i) for side in sides]
            modules += self.hidden_conv(n_in, n_out, self.kernel, stride=self.stride, padding=self.padding)
            if self.max_pool:
                modules.append(nn.MaxPool2d(2))
            if self.dropout:
                modules.append(nn.Dropout(self.dropout))
            n_in = n_out
        modules.append(nn.Flatten())
        n_features = n_in * sides[0] * sides[1]
        if self.hidden_units:
            modules += self.hidden_linear(n_features, self.hidden_units)
            n_features = self.hidden_units
        modules.append(nn.Linear(n_features, n_outputs, bias=bool(self.bias)))
        return self.chain(modules)

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
