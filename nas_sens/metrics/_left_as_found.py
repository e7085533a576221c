"""A network as it was found: what a forward pass may alter of it is put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_TABLES = (
    *("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks"),
    *("_backward_hooks", "_backward_pre_hooks"),
)


@contextmanager
def left_as_found(model: nn.Module) -> Iterator[None]:
    """Put weights, buffers, modes, gradients, flags, hooks and attributes of all modules back at the block's end.

    Attributes are put back as such: what was altered inside a list or a dict of the network's own stays. Modules of
    TorchScript, whose attributes are not Python's, keep those.

    Args:
        model: Any network; its parameters and buffers are copied.
    """
    modules = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    attributes = [(m, dict(vars(m)), {table: dict(vars(m)[table]) for table in _TABLES}) for m in modules]
    modes = [(m, m.training) for m in model.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    before = [(t, t.detach().clone()) for t in (*model.parameters(), *model.buffers())]
    try:
        yield
    finally:
        for module, names, tables in attributes:
            for name in vars(module).keys() - names.keys():
                del vars(module)[name]
            vars(module).update(names)
            for table, found in tables.items():
                vars(module)[table].clear()
                vars(module)[table].update(found)
        for module, mode in modes:
            module.training = mode
        with torch.no_grad():
            for tensor, value in before:
                if tensor.shape == value.shape:
                    tensor.copy_(value)
                else:  # observers of quantisation give their buffers other shapes
                    tensor.set_(value)  # type: ignore[call-overload]
        for parameter, required, gradient in parameters:
            parameter.requires_grad_(required)
            parameter.grad = gradient


@contextmanager
def surroundings_as_found() -> Iterator[None]:
    """Put back what a network may alter of the process when it is called: random states, type, threads, gradients."""
    python = random.getstate()
    array = np.random.get_state()  # noqa: NPY002 - a network may draw from it
    kind, threads, gradients = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)  # noqa: NPY002
        torch.set_default_dtype(kind)
        torch.set_grad_enabled(gradients)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
