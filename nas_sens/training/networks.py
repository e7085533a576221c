"""The network that a training starts from, and what is kept of the one that it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

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


def digest_of(weights: Mapping[str, torch.Tensor]) -> str:
    """Return 16 hexadecimal digits that tell weights from others."""
    content = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()[:16]
