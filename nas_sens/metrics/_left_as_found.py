"""A network as it was found: what a forward pass may alter of it is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

_TENSORS = ("_parameters", "_buffers")


@contextmanager
def left_as_found(model: nn.Module, *, weights: bool) -> Iterator[None]:
    """Put modes, buffers, gradients, flags and attributes of all modules back when the ``with`` block is left.

    Attributes are put back as such: what was altered inside a list or a dict of the network's own stays.

    Args:
        model: Any network.
        weights: Whether its parameters are altered within, too; they are copied then.
    """
    attributes = [(m, dict(vars(m)), {kind: dict(vars(m)[kind]) for kind in _TENSORS}) for m in model.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    tensors = [*(p for p, _, _ in parameters if weights), *model.buffers()]
    before = [(t, t.detach().clone()) for t in tensors]
    try:
        yield
    finally:
        for module, names, kinds in attributes:
            for name in vars(module).keys() - names.keys():
                del vars(module)[name]
            vars(module).update(names)
            for kind, found in kinds.items():
                vars(module)[kind].clear()
                vars(module)[kind].update(found)
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)
        for parameter, required, gradient in parameters:
            parameter.requires_grad_(required)
            parameter.grad = gradient
