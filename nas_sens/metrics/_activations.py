"""Modules that are activations, whichever network they are of."""

from __future__ import annotations

from torch import nn

from ..architectures.activations import HardSigmoid

_NAMES = [name for name in nn.modules.activation.__all__ if name != "MultiheadAttention"]
ACTIVATIONS = (*(getattr(nn, name) for name in _NAMES), HardSigmoid)
