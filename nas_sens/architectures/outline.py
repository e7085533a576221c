"""What a network is made of, in the order in which an input meets it: kind, shape behind it and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..core.inputs import InputShape, called_with, example_of, shape_from
from .base import ArchitectureSpec

MOST = 2_000  # parts; a longer network is no drawing
Part = tuple[str, list[int], int]  # kind, shape of the output without samples, number of parameters


def outline(architecture: ArchitectureSpec, input_shape: InputShape, n_outputs: int) -> list[Part]:
    """Return the parts of a network as they are called, without computing anything.

    A part is a module that has none itself, or parameters of its own: a normalisation comes before the activation that
    it holds, a whole network behind all that it holds. What is called twice has its parameters at the first call only;
    what is never called is left out.

    Args:
        architecture: What it is built from.
        input_shape: Shape of one input, or of several tensors.
        n_outputs: Number of outputs.

    Raises:
        RuntimeError: It does not run on the meta device. Other exceptions of a user's own module may come, too.
    """
    model = architecture.skeleton(input_shape, n_outputs).eval()
    parts: list[Part] = []
    seen: set[int] = set()
    places: list[int] = []  # of the normalisations that are under way

    def reserve(_: nn.Module, __: Any) -> None:
        places.append(len(parts))

    def note(module: nn.Module, _: Any, output: Any) -> None:
        place = places.pop() if _holds_no_other_parameters(module) else len(parts)
        if len(parts) < MOST:
            n_params = 0 if id(module) in seen else _n_own(module)
            parts.insert(place, (_kind(module), _shape(output), n_params))
        seen.add(id(module))

    shown = [m for m in model.modules() if _n_own(m) or not any(True for _ in m.children())]
    hooks = [m.register_forward_hook(note) for m in shown]
    hooks += [m.register_forward_pre_hook(reserve) for m in shown if _holds_no_other_parameters(m)]
    try:
        with torch.no_grad():
            called_with(model, example_of(shape_from(input_shape), 1, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return parts


def _n_own(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters(recurse=False))


def _holds_no_other_parameters(module: nn.Module) -> bool:
    return _n_own(module) == sum(p.numel() for p in module.parameters())


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    size = getattr(module, "kernel_size", None)
    if size is None:
        return name
    sides = size if isinstance(size, Sequence) else (size,) * (1 if name.endswith("1d") else 2)
    depthwise = " depthwise" if getattr(module, "groups", 1) > 1 else ""
    return f"{name.rstrip('123d') or name} {'×'.join(map(str, sides))}{depthwise}"


def _shape(output: Any) -> list[int]:
    tensor = output[0] if isinstance(output, (tuple, list)) and output else output
    return list(tensor.shape[1:]) if isinstance(tensor, torch.Tensor) else []
