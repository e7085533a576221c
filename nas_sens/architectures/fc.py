"""Fully-connected networks: ``depth`` hidden layers of ``width`` units, or of a width each, and a linear read-out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.errors import InfeasibleArchitectureError
from .base import SPEC_CONFIG, LayeredSpec, Layers0
from .lists import OneOrMoreCounts, check_length, for_each, with_length

_MAX_UNITS = 2**31  # of a layer; far beyond any memory, and below the overflow of a float


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class FCSpec(LayeredSpec):
    """A fully-connected network.

    Args:
        depth: Number of hidden layers, at most 10,000; 0 is a linear model. With a list of widths it may be left out.
        width: Units of the first hidden layer, or a list with those of every hidden layer.
        taper: Factor on the width from one hidden layer to the next, so that hidden layer i = 0, 1, … has
            ``max(1, round(width · taper^i))`` units; 1 for equal layers, and beside a list of widths.
    """

    family: ClassVar[str] = "fc"

    depth: Layers0
    width: OneOrMoreCounts
    taper: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _count_layers(cls, given: Any) -> Any:
        return with_length(given, "depth", "width")

    @model_validator(mode="after")
    def _check_widths(self) -> FCSpec:
        check_length(self.width, self.depth, "width", "hidden layers (depth)")
        if isinstance(self.width, tuple) and self.taper != 1.0:
            raise ValueError(f"needs a taper of 1 with a list of widths; given {self.taper}")
        return self

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return flatten, ``depth`` × (linear, batch norm, activation, dropout), linear."""
        modules: list[nn.Module] = [nn.Flatten()]
        n_in = math.prod(input_shape)
        for width in self.widths():
            modules += self.hidden_linear(n_in, width)
            n_in = width
        modules.append(nn.Linear(n_in, n_outputs, bias=bool(self.bias)))
        return self.chain(modules)

    def size(self, input_shape: tuple[int, ...], n_outputs: int) -> tuple[int, int]:
        """Return parameters and floating-point operations."""
        sizes = [math.prod(input_shape), *self.widths(), n_outputs]
        products = sum(a * b for a, b in itertools.pairwise(sizes))
        hidden = sum(sizes[1:-1])
        biases = sizes[1] if self.bias == "first" else (hidden + n_outputs) * self.bias
        params = products + biases + 2 * hidden * self.batch_norm
        return params, 2 * products

    @classmethod
    def structure(cls, values: Mapping[str, Any]) -> dict[str, float]:
        """Return the number of trainable layers, which says the depth, too."""
        return {"trainable_layers": values["depth"] + 1.0}

    def widths(self) -> list[int]:
        """Return the units of every hidden layer.

        Raises:
            InfeasibleArchitectureError: A layer has more than 2³¹ units.
        """
        widths: list[int] = []
        given = for_each(self.width, self.depth)
        exact = float(given[0]) if given else 0.0
        for i in range(self.depth):
            exact = float(given[i]) if isinstance(self.width, tuple) else exact
            if exact > _MAX_UNITS:
                raise InfeasibleArchitectureError(
                    f"hidden layer {i + 1} would have {exact:.3g} units, more than 2^31; lower width or taper"
                )
            widths.append(max(1, round(exact)))
            exact *= self.taper
        return widths
