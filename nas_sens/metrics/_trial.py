"""What a network says to a first minibatch: lazy layers get their shapes, and its failure is told from one of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..core.device import memory_guard
from ..core.errors import InvalidInputError, OutOfMemoryError
from ..core.inputs import called_with, n_rows, parts_of, rows_of
from ..core.module_mode import evaluation_mode
from ..core.outputs import Output, picked
from ..core.user_code import error_text

_FOREIGN = (("torch.nn.modules.module", "_call_impl"), ("torch.autograd.function", "apply"))


def network_problem(model: nn.Module, x: Any, output: Output | None = None) -> str:
    """Return in one line why a network cannot be measured on inputs (n, *input_shape); empty if nothing is wrong.

    It is run once on two of them, in evaluation mode, which gives lazy layers their shapes.
    """
    n = min(2, n_rows(x))
    try:
        # Not in inference mode: what is made there, such as weights of lazy layers, can never be trained.
        with torch.no_grad(), evaluation_mode(model), memory_guard():
            given = called_with(model, rows_of(x, slice(0, n)))
    except OutOfMemoryError:
        return "out of memory; give fewer inputs"
    except Exception as error:  # whatever a foreign module raises
        return failure(error, x)
    return output_problem(given, n, output)


def failure(error: Exception, x: Any) -> str:
    """Return in one line what a network raised on inputs (n, *input_shape)."""
    shapes = " and ".join(f"(n, {', '.join(map(str, part.shape[1:]))})" for part in parts_of(x))
    return f"the network fails on inputs {shapes}: {error_text(error)}"


def output_problem(given: Any, n: int, output: Output | None = None) -> str:
    """Return in one line what is wrong with the outputs for n inputs; empty if they are one tensor (n, …)."""
    try:
        picked(given, n, output)
    except InvalidInputError as error:
        return str(error)
    return ""


@contextmanager
def one_output(model: nn.Module, output: Output | None, *, are_classes: Callable[[], bool]) -> Iterator[None]:
    """Let a network give one tensor (n, K), whatever the shape of its outputs.

    Where it has none, every use of what it gives raises an error, so that measures that use no outputs have their
    values.

    Args:
        model: The network; its first input has one row for each sample.
        output: Which of several outputs (see :func:`nas_sens.core.outputs.picked`).
        are_classes: Returns whether outputs are now taken for one logit a class, which those with further axes are not.

    Raises:
        InvalidInputError: Where outputs are used that are none, by what stands in for them.
    """

    def replace(module: nn.Module, arguments: tuple[Any, ...], given: Any) -> Any:
        try:
            tensor = picked(given, len(arguments[0]), output)
        except InvalidInputError as error:
            return _unusable(str(error))
        if tensor.ndim > 2 and are_classes():
            return _unusable(
                f"labels (n,) need outputs (n, K); the network gives (n, {', '.join(map(str, tensor.shape[1:]))})"
            )
        return tensor.flatten(1)

    handle = model.register_forward_hook(replace)
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
