"""Networks of NAS-Bench-Macro (Su et al., arXiv:2103.11922) as a family: what each of eight blocks does is searched.

Three stages of 2, 3 and 3 blocks, whose first halves the feature map and doubles the channels; behind them a 1×1
convolution. Parameters and FLOPs are those of the benchmark with 32 channels and images of 32×32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

import nas_sens as ns
from nas_sens.architectures import ArchitectureSpec

STAGES = (2, 3, 3)
KINDS = {"1": (3, 3), "2": (5, 6)}  # kernel and expansion of an inverted residual; 0 is the identity
HEAD = 40  # channels of the last convolution over those of the stem


class Residual(nn.Sequential):
    """Layers and the identity beside them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of both, of the shape of ``x``."""
        return x + super().forward(x)


def convolutions(kind: str, n_in: int, n_out: int) -> list[nn.Conv2d]:
    """Return those of one block; where channels differ it halves the feature map, and the identity is a 1×1 one."""
    stride = 1 if n_in == n_out else 2
    if kind == "0":
        return [] if stride == 1 else [convolution(n_in, n_out, 1, stride=stride)]
    kernel, expansion = KINDS[kind]
    n = n_in * expansion
    depthwise = convolution(n, n, kernel, stride=stride, groups=n)
    return [convolution(n_in, n, 1), depthwise, convolution(n, n_out, 1)]


def convolution(n_in: int, n_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the feature map, but for its stride."""
    return nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)


def block(kind: str, n_in: int, n_out: int) -> nn.Module:
    """Return one block: batch norm behind its convolutions, ReLU behind all but the last."""
    layers: list[nn.Module] = []
    for layer in convolutions(kind, n_in, n_out):
        layers += [*([nn.ReLU()] if layers else []), layer, nn.BatchNorm2d(layer.out_channels)]
    if kind == "0":
        return nn.Sequential(*layers)
    return Residual(*layers) if n_in == n_out else nn.Sequential(*layers)


def widths(channels: int) -> Iterator[tuple[int, int]]:
    """Yield channels before and behind every block."""
    for n_blocks in STAGES:
        yield channels, 2 * channels
        channels *= 2
        yield from [(channels, channels)] * (n_blocks - 1)


def size(spec: ArchitectureSpec, input_shape: tuple[int, ...], n_outputs: int) -> tuple[int, int]:
    """Return parameters and floating-point operations, for which building the network would take far longer."""
    n_in, height, width = input_shape
    params, products = (9 * n_in + 2) * spec.channels, 9 * n_in * spec.channels * height * width
    with torch.device("meta"):
        blocks = [convolutions(kind, *w) for kind, w in zip(spec.blocks, widths(spec.channels), strict=True)]
    for layer in itertools.chain(*blocks):
        height, width = (-(-side // layer.stride[0]) for side in (height, width))
        params += layer.weight.numel() + 2 * layer.out_channels
        products += layer.weight.numel() * height * width
    n_head = HEAD * spec.channels
    last = spec.channels * 2 ** len(STAGES)
    params += (last + 2) * n_head + (n_head + 1) * n_outputs
    return params, 2 * (products + last * n_head * height * width + n_head * n_outputs)


def structure(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the number of convolutions, all of which are on the longest path, and of layers with weights."""
    firsts = set(itertools.accumulate((0, *STAGES[:-1])))
    convolutions = 2 + sum(3 if kind in KINDS else i in firsts for i, kind in enumerate(values["blocks"]))
    return {"depth": float(convolutions), "trainable_layers": convolutions + 1.0}


def canonical(spec: ArchitectureSpec) -> ArchitectureSpec:
    """Return the network with the identities of every stage, but for its first block, behind the other blocks."""
    code = iter(spec.blocks)
    stages = [[next(code) for _ in range(n)] for n in STAGES]
    ordered = [first + "".join(sorted(rest, key="0".__eq__)) for first, *rest in stages]
    return replace(spec, blocks="".join(ordered))


@ns.family(structure=structure, size=size, canonical=canonical)
def macro(input_shape: tuple[int, ...], n_outputs: int, *, blocks: str, channels: int = 32) -> nn.Module:
    """Return the network of a code of eight digits."""
    n_last, n_head = channels * 2 ** len(STAGES), HEAD * channels
    ends = [convolution(input_shape[0], channels, 3), convolution(n_last, n_head, 1)]
    stem, head = ([end, nn.BatchNorm2d(end.out_channels), nn.ReLU()] for end in ends)
    body = [block(kind, *w) for kind, w in zip(blocks, widths(channels), strict=True)]
    return nn.Sequential(*stem, *body, *head, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_head, n_outputs))
