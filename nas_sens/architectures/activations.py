"""Activation functions under their usual names, as novak2018 defines them where definitions differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import nn

Activation = Literal["relu", "relu6", "tanh", "hard_tanh", "hard_sigmoid", "gelu"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


class HardSigmoid(nn.Module):
    """min(max(x + 0.5, 0), 1) of novak2018; ``torch.nn.Hardsigmoid`` has slope 1/6 instead of 1."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the element-wise hard sigmoid of ``x``."""
        return (x + 0.5).clamp(0.0, 1.0)


_MODULES: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "tanh": nn.Tanh,
    "hard_tanh": nn.Hardtanh,
    "hard_sigmoid": HardSigmoid,
    "gelu": nn.GELU,
}


def make_activation(name: Activation) -> nn.Module:
    """Return a new module of the named activation."""
    return _MODULES[name]()
