"""What one forward pass moves: bytes and kinds of layers, from which latency is predicted, and the peak of memory."""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..core.inputs import called_with, parts_of
from ..core.module_mode import evaluation_mode

KINDS = ("convolution", "depthwise convolution", "linear", "normalisation", "other")
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
_NOTHING = (nn.Identity, nn.Dropout, nn.Flatten)


@dataclass(frozen=True)
class Footprint:
    """What one forward pass takes, but operations.

    Attributes:
        layers: Number of layers that were run, by the names in ``KINDS``.
        weight_bytes: Of parameters and buffers.
        output_bytes: Of the outputs of all operations.
        peak_bytes: Most bytes that lay in memory at once: parameters, buffers, inputs and intermediate results.
    """

    layers: dict[str, int]
    weight_bytes: int
    output_bytes: int
    peak_bytes: int


@torch.no_grad()
def footprint(model: nn.Module, x: Any) -> Footprint:
    """Return what a forward pass takes, in evaluation mode, by running it once.

    Memory is that of tensors as PyTorch frees them while it runs the network. What libraries take besides, as for a
    convolution by matrices, is not in it.

    Args:
        model: The network; its weights may be any.
        x: A minibatch, on its device.
    """
    weights = {
        t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in (*model.parameters(), *model.buffers())
    }
    layers: Counter[str] = Counter()
    hooks = [m.register_forward_hook(_counting(layers, kind)) for m in model.modules() if (kind := _kind(m))]
    memory = _Memory(list(weights))
    memory.take(parts_of(x))
    try:
        with evaluation_mode(model), memory:
            called_with(model, x)
    finally:
        for hook in hooks:
            hook.remove()
    held = sum(weights.values())
    return Footprint(
        layers={kind: layers[kind] for kind in KINDS},
        weight_bytes=held,
        output_bytes=memory.n_written,
        peak_bytes=held + memory.peak,
    )


def _kind(module: nn.Module) -> str | None:
    """Return what kind of layer a module is; None if it is none, or does nothing."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return "depthwise convolution" if module.groups > 1 else "convolution"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NORMS):
        return "normalisation"
    return None if any(True for _ in module.children()) or isinstance(module, _NOTHING) else "other"


def _counting(layers: Counter[str], kind: str) -> Any:
    def count(*_: Any) -> None:
        layers[kind] += 1

    return count


class _Memory(TorchDispatchMode):
    """Follows which storages live; those of weights are no part of it."""

    def __init__(self, weights: list[int]) -> None:
        super().__init__()
        self._weights = frozenset(weights)
        self._holders: Counter[int] = Counter()  # of a storage: how many tensors have it
        self._sizes: dict[int, int] = {}
        self.live = self.peak = self.n_written = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.n_written += self.take(parts_of(found) if isinstance(found, (tuple, list)) else [found])
        return found

    def take(self, tensors: list[Any]) -> int:
        """Count tensors until they are freed.

        Returns:
            How many bytes are new.
        """
        n_new = 0
        for tensor in tensors:
            if not isinstance(tensor, torch.Tensor) or (key := tensor.untyped_storage()._cdata) in self._weights:
                continue
            if not self._holders[key]:
                n_new += (size := tensor.untyped_storage().nbytes())
                self._sizes[key] = size
                self.live += size
                self.peak = max(self.peak, self.live)
            self._holders[key] += 1
            weakref.finalize(tensor, self._release, key)
        return n_new

    def _release(self, key: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self.live -= self._sizes.pop(key)
