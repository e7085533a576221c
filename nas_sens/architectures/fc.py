"""Fully-connected networks: ``depth`` hidden layers of ``width`` units and a linear read-out."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic.dataclasses import dataclass
from torch import nn

from .activations import make_activation
from .base import SPEC_CONFIG, ArchitectureSpec, Count, Count0


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class FCSpec(ArchitectureSpec):
    """A fully-connected network.

    Args:
        depth: Number of hidden layers; 0 is a linear model.
        width: Units of every hidden layer.
    """

    family: ClassVar[str] = "fc"

    depth: Count0
    width: Count

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return flatten, ``depth`` × (linear, batch norm, activation, dropout), linear."""
        modules: list[nn.Module] = [nn.Flatten()]
        n_in = math.prod(input_shape)
        for _ in range(self.depth):
            modules.append(nn.Linear(n_in, self.width, bias=self.bias))
            if self.batch_norm:
                modules.append(nn.BatchNorm1d(self.width))
            modules.append(make_activation(self.activation))
            if self.dropout:
                modules.append(nn.Dropout(self.dropout))
            n_in = self.width
        modules.append(nn.Linear(n_in, n_outputs, bias=self.bias))
        return nn.Sequential(*modules)
