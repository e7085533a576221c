"""AlexNet with scaled channels for small images (Krizhevsky, arXiv:1404.5997; scaled as in forouzesh2020)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from .base import SPEC_CONFIG, Count0, LayeredSpec, halved, require_images

_CHANNELS = (64, 192, 384, 256, 256)  # of the one-column network, which torchvision has too
_POOLED = (1, 2, 5)  # the convolution layers that a max-pool follows


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class AlexNetSpec(LayeredSpec):
    """AlexNet: five convolution layers, hidden linear layers, a linear read-out.

    For images of about 32 pixels all kernels are 3×3, the first convolution has stride 2 (instead of 11×11 with
    stride 4) and max-pools are 2×2 (instead of 3×3 with stride 2); channels and order are those of the paper.
    ``dropout`` acts on the hidden linear layers only, as in the paper.

    Args:
        width_factor: Factor on the channels 64, 192, 384, 256, 256.
        hidden_units: Units of each of the two hidden linear layers; 0 for none. 4096 in the paper.
        max_pool: Whether the first, second and last convolution layer are followed by a max-pool; forouzesh2020
            removes them.
    """

    family: ClassVar[str] = "alexnet"

    width_factor: Annotated[float, Field(gt=0, le=64)] = 1.0
    hidden_units: Count0 = 512
    max_pool: bool = True

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return five × (conv, batch norm, activation) with max-pools, flatten, hidden layers, linear.

        Raises:
            InfeasibleArchitectureError: The input is no image, or a max-pool cannot halve its feature map.
        """
        n_in, height, width = require_images(self.family, input_shape)
        sides = ((height + 1) // 2, (width + 1) // 2)
        modules: list[nn.Module] = []
        for i, channels in enumerate(_CHANNELS, start=1):
            n_out = max(1, round(channels * self.width_factor))
            modules += self.hidden_conv(n_in, n_out, 3, stride=2 if i == 1 else 1, padding=1)
            if self.max_pool and i in _POOLED:
                sides = halved(sides, f"max-pool after conv layer {i}")
                modules.append(nn.MaxPool2d(2))
            n_in = n_out
        modules += self.two_layer_head(n_in * sides[0] * sides[1], self.hidden_units, n_outputs)
        return self.chain(modules)
