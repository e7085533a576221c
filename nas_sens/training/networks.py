"""The network that a training starts from, and what is kept of the one that it leaves."""

from __future__ import annotations

import torch
from torch import nn

from ..architectures import ArchitectureSpec
from ..core.identity import make_generator
from ..data import Splits


def untrained(architecture: ArchitectureSpec, splits: Splits, *, seed: int, device: torch.device) -> nn.Module:
    """Return a network for data on a device, drawn from its own initialisation with the seed of a training."""
    generator = make_generator("initial weights", architecture.digest, seed, device=device)
    return architecture.build(splits.input_shape, splits.n_outputs, generator=generator, device=device)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a network on the CPU."""
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in model.state_dict().items()}
