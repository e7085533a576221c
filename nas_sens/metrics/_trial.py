"""What a network says to a first minibatch: lazy layers get their shapes, and its failure is told from one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..core.device import memory_guard
from ..core.errors import InvalidInputError, OutOfMemoryError
from ..core.module_mode import evaluation_mode
from ..core.user_code import error_text

_FOREIGN = (("torch.nn.modules.module", "_call_impl"), ("torch.autograd.function", "apply"))


def network_problem(model: nn.Module, x: torch.Tensor) -> str:
    """Return in one line why a network cannot be measured on inputs (n, *input_shape); empty if nothing is wrong.

    It is run once on two of them, in evaluation mode, which gives lazy layers their shapes.
    """
    try:
        # Not in inference mode: what is made there, such as weights of lazy layers, can never be trained.
        with torch.no_grad(), evaluation_mode(model), memory_guard():
            output = model(x[:2])
    except OutOfMemoryError:
        return "out of memory; give fewer inputs"
    except Exception as error:  # whatever a foreign module raises
        return failure(error, x)
    return output_problem(output, len(x[:2]))


def failure(error: Exception, x: torch.Tensor) -> str:
    """Return in one line what a network raised on inputs (n, *input_shape)."""
    return f"the network fails on inputs (n, {', '.join(map(str, x.shape[1:]))}): {error_text(error)}"


def output_problem(output: Any, n: int) -> str:
    """Return in one line what is wrong with the outputs for n inputs; empty if they are one tensor (n, K)."""
    given = "a " + type(output).__name__
    if isinstance(output, torch.Tensor):
        if output.ndim == 2 and len(output) == n:
            return ""
        given = f"the shape {tuple(output.shape)} for {n} inputs"
    return (
        f"the network must give one tensor (n, K); it gives {given}; wrap it in a module that returns the logits alone"
    )


@contextmanager
def checked_outputs(model: nn.Module) -> Iterator[None]:
    """Let every use of outputs that are not one tensor (n, K) raise an error; measures that use none have their values.

    Raises:
        InvalidInputError: Where such outputs are used, by what stands in for them.
    """

    def check(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        problem = output_problem(output, len(arguments[0]))
        return _unusable(problem) if problem else None

    handle = model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def is_of_the_network(error: BaseException) -> bool:
    """Return whether an exception came out of the network that a measure ran, forward or backward; not out of ours."""
    foreign = False
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module.startswith(__package__) or module.endswith(".architectures.flop_counter"):
            foreign = False
        elif any(module.startswith(where) and trace.tb_frame.f_code.co_name == name for where, name in _FOREIGN):
            foreign = True
        trace = trace.tb_next
    return foreign


def has_lazy_layers(model: nn.Module) -> bool:
    """Return whether a layer waits for its first input to know its shape."""
    return any(is_lazy(t) for tensors in (model.parameters(), model.buffers()) for t in tensors)


def _unusable(problem: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise InvalidInputError(problem)

    used = "getattr getitem len iter bool float int neg abs"
    both = "add sub mul truediv matmul pow"
    names = [*used.split(), *both.split(), *(f"r{name}" for name in both.split())]
    methods = {f"__{name}__": refuse for name in names}
    return type("Unusable", (), {**methods, "__torch_function__": classmethod(refuse)})()
