"""Residual networks for small images (He et al., Deep residual learning, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from .activations import make_activation
from .base import SPEC_CONFIG, Count, LayeredSpec, Layers, halved, require_images


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class ResNetSpec(LayeredSpec):
    """A residual network of basic blocks, each of two 3×3 convolutions.

    The stem is one 3×3 convolution of stride 1, as for CIFAR-10 in arXiv:1512.03385. Every stage but the first halves
    the feature map by stride 2 and doubles the channels; average pooling and a linear read-out end it. There are
    ``2 · stages · blocks + 2`` layers with weights. ``dropout`` acts between the convolutions of a block, as in
    wide residual networks (Zagoruyko and Komodakis, arXiv:1605.07146).

    Args:
        stages: Number of stages.
        blocks: Residual blocks of every stage.
        width: Channels of the first stage.
        shortcut: ``identity``: the identity, but a 1×1 convolution where the shape changes (option B of the paper);
            ``projection``: a 1×1 convolution in every block (option C); ``none``: no shortcut, a plain network.
        pre_activation: Whether batch norm and activation stand before the convolutions (He et al., arXiv:1603.05027)
            and not behind them. The closed form of the sensitivity covers pre-activation, or ``projection`` and
            ``none``; post-activation identity shortcuts are scored by Monte Carlo.
    """

    family: ClassVar[str] = "resnet"

    stages: Count
    blocks: Layers
    width: Count
    shortcut: Literal["identity", "projection", "none"] = "identity"
    pre_activation: bool = False

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return stem, ``stages`` × ``blocks`` residual blocks, average pool, flatten, linear.

        Raises:
            InfeasibleArchitectureError: The input is no image, or a stage cannot halve its feature map.
        """
        n_in, *size = require_images(self.family, input_shape)
        sides = (size[0], size[1])
        stem = self.hidden_conv(n_in, self.width, 3, padding=1)
        modules: list[nn.Module] = stem[:1] if self.pre_activation else stem
        n_in = self.width
        for stage in range(self.stages):
            n_out = self.width * 2**stage
            if stage > 0:
                halved(sides, f"stage {stage + 1}")
                sides = ((sides[0] + 1) // 2, (sides[1] + 1) // 2)
            for i in range(self.blocks):
                modules.append(ResidualBlock(self, n_in, n_out, stride=2 if stage > 0 and i == 0 else 1))
                n_in = n_out
        if self.pre_activation:
            modules += self.norm_and_activation(n_in)
        modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_outputs, bias=bool(self.bias))]
        return self.chain(modules)

    def norm_and_activation(self, n: int) -> list[nn.Module]:
        """Return batch norm, if the spec has it, and activation, for ``n`` channels."""
        return [*([nn.BatchNorm2d(n)] if self.batch_norm else []), make_activation(self.activation)]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut, in the order of arXiv:1512.03385 or, pre-activated, of arXiv:1603.05027.

    Args:
        spec: The network's architecture.
        n_in: Channels of the input.
        n_out: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, spec: ResNetSpec, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        pre = spec.pre_activation
        norm_out: list[nn.Module] = [nn.BatchNorm2d(n_out)] if spec.batch_norm and not pre else []
        body: list[nn.Module] = [
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=bool(spec.bias)),
            *spec.norm_and_activation(n_out),
            *([nn.Dropout(spec.dropout)] if spec.dropout else []),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=bool(spec.bias)),
            *norm_out,
        ]
        is_projected = spec.shortcut == "projection" or (spec.shortcut == "identity" and (stride, n_in) != (1, n_out))
        self.before = nn.Sequential(*spec.norm_and_activation(n_in)) if pre else nn.Identity()
        self.body = nn.Sequential(*body)
        self.projection: nn.Module | None = None
        if is_projected:
            conv = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=bool(spec.bias))
            self.projection = nn.Sequential(conv, *([nn.BatchNorm2d(n_out)] if norm_out else []))
        self.has_shortcut = spec.shortcut != "none"
        self.after = nn.Identity() if pre else make_activation(spec.activation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output (n, n_out, height, width) for ``x`` (n, n_in, height, width)."""
        h = self.before(x)
        y = self.body(h)
        if self.has_shortcut:
            y = y + (x if self.projection is None else self.projection(h))
        return self.after(y)
