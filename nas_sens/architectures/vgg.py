"""VGG networks with scaled channels (Simonyan and Zisserman, arXiv:1409.1556, table 1)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from .base import SPEC_CONFIG, Count0, LayeredSpec, halved, require_images

# 3×3 convolutions in each of the five stages: configurations A, B, D and E of the paper.
_CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_CHANNELS = (64, 128, 256, 512, 512)


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class VGGSpec(LayeredSpec):
    """A VGG network: five stages of 3×3 convolutions, hidden linear layers, a linear read-out.

    ``dropout`` acts on the hidden linear layers only, as in the paper.

    Args:
        configuration: Layers with weights when there are two hidden linear layers.
        width_factor: Factor on the channels 64, 128, 256, 512, 512 of the stages, as scaled in forouzesh2020.
        hidden_units: Units of each of the two hidden linear layers; 0 for none. 4096 in the paper.
        max_pools: How many of the stages, from the first, end with a 2×2 max-pool. The paper has 5, which needs images
            of at least 32 pixels a side; 28 pixels allow 4. forouzesh2020 removes them (0).
    """

    family: ClassVar[str] = "vgg"

    configuration: Literal[11, 13, 16, 19]
    width_factor: Annotated[float, Field(gt=0, le=64)] = 1.0
    hidden_units: Count0 = 512
    max_pools: Annotated[int, Field(ge=0, le=5)] = 5

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return the stages of (conv, batch norm, activation) and max-pools, flatten, hidden layers, linear.

        Raises:
            InfeasibleArchitectureError: The input is no image, or a max-pool cannot halve its feature map.
        """
        n_in, *size = require_images(self.family, input_shape)
        sides = (size[0], size[1])
        modules: list[nn.Module] = []
        for stage, (n_convolutions, channels) in enumerate(
            zip(_CONVOLUTIONS[self.configuration], _CHANNELS, strict=True), start=1
        ):
            n_out = max(1, round(channels * self.width_factor))
            for _ in range(n_convolutions):
                modules += self.hidden_conv(n_in, n_out, 3, padding=1)
                n_in = n_out
            if stage <= self.max_pools:
                sides = halved(sides, f"max-pool {stage} of {self.max_pools}")
                modules.append(nn.MaxPool2d(2))
        modules += self.two_layer_head(n_in * sides[0] * sides[1], self.hidden_units, n_outputs)
        return self.chain(modules)
