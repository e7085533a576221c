"""Residual networks (He et al., Deep residual learning, arXiv:1512.03385), for small images and as for ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from .activations import make_activation
from .base import SPEC_CONFIG, Count, LayeredSpec, halved, require_images
from .lists import OneOrMoreLayers, check_length, for_each, with_length
from .timm_built import DropPath

_EXPANSION = 4  # channels behind a bottleneck, as a multiple of those in it


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class ResNetSpec(LayeredSpec):
    """A residual network of basic blocks, each of two 3×3 convolutions, or of bottlenecks of three.

    Every stage but the first halves the feature map by stride 2 and doubles the channels; average pooling and a linear
    read-out end it. With basic blocks there are ``2 · stages · blocks + 2`` layers with weights. ``dropout`` acts
    before the last convolution of a block, as in wide residual networks (Zagoruyko and Komodakis, arXiv:1605.07146).

    Args:
        stages: Number of stages. With a list of blocks it may be left out.
        blocks: Residual blocks of all stages, or a list with those of each.
        width: Channels of the first stage; of bottlenecks those inside, of which there are four times as many outside.
        shortcut: ``identity``: the identity, but a 1×1 convolution where the shape changes (option B of the paper);
            ``projection``: a 1×1 convolution in every block (option C); ``none``: no shortcut, a plain network.
        pre_activation: Whether batch norm and activation stand before the convolutions (He et al., arXiv:1603.05027)
            and not behind them. The closed form of the sensitivity covers pre-activation, or ``projection`` and
            ``none``; post-activation identity shortcuts are scored by Monte Carlo.
        stem: ``3x3``: a convolution of stride 1, as for CIFAR-10 in section 4.2 of the paper; ``7x7``: a convolution of
            stride 2 and a 3×3 max-pool of stride 2, as for ImageNet; ``deep``: three 3×3 convolutions, the first of
            stride 2 and half the channels in two, and the pool (ResNet-C of He et al., arXiv:1812.01187).
        block: ``basic``, or ``bottleneck`` of 1×1, 3×3 (with the stride) and 1×1.
        drop_path: Probability with which the last block's branch is left out of a sample while training; it grows
            linearly from 0 for the first block's (Huang et al., arXiv:1603.09382).
    """

    family: ClassVar[str] = "resnet"
    later: ClassVar[Mapping[str, Any]] = {"stem": "3x3", "block": "basic", "drop_path": 0.0}

    stages: Count
    blocks: OneOrMoreLayers
    width: Count
    shortcut: Literal["identity", "projection", "none"] = "identity"
    pre_activation: bool = False
    stem: Literal["3x3", "7x7", "deep"] = "3x3"
    block: Literal["basic", "bottleneck"] = "basic"
    drop_path: DropPath = 0.0

    @model_validator(mode="before")
    @classmethod
    def _count_stages(cls, given: Any) -> Any:
        return with_length(given, "stages", "blocks")

    @model_validator(mode="after")
    def _check_blocks(self) -> ResNetSpec:
        check_length(self.blocks, self.stages, "blocks", "stages")
        return self

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return stem, residual blocks of all stages, average pool, flatten, linear.

        Raises:
            InfeasibleArchitectureError: The input is no image, or the stem or a stage cannot halve its feature map.
        """
        n_in, *size = require_images(self.family, input_shape)
        modules, sides = self._stem_for(n_in, (size[0], size[1]))
        n_in, n_done = self.width, 0
        depths = for_each(self.blocks, self.stages)
        for stage, depth in enumerate(depths):
            n_inside = self.width * 2**stage
            if stage > 0:
                halved(sides, f"stage {stage + 1}")
                sides = _half(sides)
            for i in range(depth):
                rate = self.drop_path * n_done / max(1, sum(depths) - 1)
                stride = 2 if stage > 0 and i == 0 else 1
                modules.append(ResidualBlock(self, n_in, n_inside, stride=stride, drop_path=rate))
                n_in, n_done = self.outside(n_inside), n_done + 1
        if self.pre_activation:
            modules += self.norm_and_activation(n_in)
        modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_outputs, bias=bool(self.bias))]
        return self.chain(modules)

    def _stem_for(self, n_in: int, sides: tuple[int, int]) -> tuple[list[nn.Module], tuple[int, int]]:
        """Return the stem, and the sides of the feature map behind it."""
        last = self.hidden_conv(n_in, self.width, 3, padding=1)
        before: list[nn.Module] = []
        if self.stem == "7x7":
            last = self.hidden_conv(n_in, self.width, 7, stride=2, padding=3)
        elif self.stem == "deep":
            n = max(1, self.width // 2)
            before = [*self.hidden_conv(n_in, n, 3, stride=2, padding=1), *self.hidden_conv(n, n, 3, padding=1)]
            last = self.hidden_conv(n, self.width, 3, padding=1)
        modules: list[nn.Module] = [*before, *(last[:1] if self.pre_activation else last)]
        if self.stem != "3x3":
            for what in ("the stem", "the max-pool behind the stem"):
                halved(sides, what)
                sides = _half(sides)
            modules.append(nn.MaxPool2d(3, stride=2, padding=1))
        return modules, sides

    def outside(self, n_inside: int) -> int:
        """Return the channels behind a block that has ``n_inside`` within it."""
        return n_inside * (_EXPANSION if self.block == "bottleneck" else 1)

    def norm_and_activation(self, n: int) -> list[nn.Module]:
        """Return batch norm, if the spec has it, and activation, for ``n`` channels."""
        return [*([nn.BatchNorm2d(n)] if self.batch_norm else []), make_activation(self.activation)]


def _half(sides: tuple[int, int]) -> tuple[int, int]:
    """Return the sides behind a convolution of stride 2 that is padded to keep its map."""
    return (sides[0] + 1) // 2, (sides[1] + 1) // 2


class ResidualBlock(nn.Module):
    """Convolutions and a shortcut, in the order of arXiv:1512.03385 or, pre-activated, of arXiv:1603.05027.

    Args:
        spec: The network's architecture.
        n_in: Channels of the input.
        n_inside: Channels inside; with basic blocks also those of the output.
        stride: Stride of the first 3×3 convolution and of the shortcut.
        drop_path: Probability with which the branch is left out of a sample while training.
    """

    def __init__(self, spec: ResNetSpec, n_in: int, n_inside: int, *, stride: int, drop_path: float = 0.0) -> None:
        super().__init__()
        pre, n_out, bias = spec.pre_activation, spec.outside(n_inside), bool(spec.bias)
        norm_out: list[nn.Module] = [nn.BatchNorm2d(n_out)] if spec.batch_norm and not pre else []
        convolutions = [nn.Conv2d(n_in, n_inside, 3, stride=stride, padding=1, bias=bias)]
        if spec.block == "bottleneck":
            convolutions = [
                nn.Conv2d(n_in, n_inside, 1, bias=bias),
                nn.Conv2d(n_inside, n_inside, 3, stride=stride, padding=1, bias=bias),
            ]
        kernel = 1 if spec.block == "bottleneck" else 3
        last = nn.Conv2d(n_inside, n_out, kernel, padding=kernel // 2, bias=bias)
        body = [m for c in convolutions for m in (c, *spec.norm_and_activation(n_inside))]
        body += [*([nn.Dropout(spec.dropout)] if spec.dropout else []), last, *norm_out]
        is_projected = spec.shortcut == "projection" or (spec.shortcut == "identity" and (stride, n_in) != (1, n_out))
        self.before = nn.Sequential(*spec.norm_and_activation(n_in)) if pre else nn.Identity()
        self.body = nn.Sequential(*body)
        self.projection: nn.Module | None = None
        if is_projected:
            conv = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=bias)
            self.projection = nn.Sequential(conv, *([nn.BatchNorm2d(n_out)] if norm_out else []))
        self.has_shortcut = spec.shortcut != "none"
        self.after = nn.Identity() if pre else make_activation(spec.activation)
        self.drop: nn.Module | None = None
        if drop_path and self.has_shortcut:
            from timm.layers import DropPath as Drop  # which takes seconds to import

            self.drop = Drop(drop_path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output (n, n_out, height, width) for ``x`` (n, n_in, height, width)."""
        h = self.before(x)
        y = self.body(h)
        if self.drop is not None:
            y = self.drop(y)
        if self.has_shortcut:
            y = y + (x if self.projection is None else self.projection(h))
        return self.after(y)
