"""Floating-point operations by PyTorch's counter, made to see what it does not count and to say so where it cannot."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..core.errors import InfeasibleArchitectureError
from ..core.inputs import Inputs, called_with
from ..core.module_mode import evaluation_mode

# Words in the names of operations that multiply tensors; of those that the counter has no formula for, none is left out
# silently. Element-wise parts of recurrent cells (`_thnn_…`) and norms of vectors have such words, too.
_MULTIPLY = frozenset(
    {
        *("mm", "addmm", "bmm", "addbmm", "baddbmm", "mv", "addmv", "dot", "vdot", "matmul", "linear", "trilinear"),
        *("conv", "convolution", "tbc", "rnn", "lstm", "gru", "attention", "transformer", "cdist", "pdist", "fft"),
        *("linalg", "matrix", "cholesky", "svd", "qr"),
    }
)
_ELEMENTWISE = ("_thnn_", "linalg_vector_norm", "linalg_cross")
_OWN = ("aten", "prim", "prims", "profiler")  # operations of other libraries may do anything


class UncountedError(InfeasibleArchitectureError):
    """A network multiplies in a way that there is no formula for, so that any number would be too small."""


def count_by_running(module: nn.Module, example: Inputs) -> int:
    """Return the operations of one forward pass in evaluation mode, a multiplication and an addition counted as two.

    Convolutions and products of matrices and vectors count, among them those inside attention and recurrent layers,
    which are run as such; element-wise operations, sums and pooling do not.

    Args:
        module: The network.
        example: A minibatch, usually of one input.

    Raises:
        UncountedError: An operation multiplies in a way that there is no formula for.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode, flop_registry

    aten = torch.ops.aten
    more = {
        aten.mv: lambda a, *_, out_shape=None, **__: 2 * math.prod(a),
        aten.addmv: lambda _, a, *__, out_shape=None, **___: 2 * math.prod(a),
        aten.dot: lambda a, *_, out_shape=None, **__: 2 * math.prod(a),
        aten.vdot: lambda a, *_, out_shape=None, **__: 2 * math.prod(a),
    }
    known = {*flop_registry, *more}
    seen: set[Any] = set()

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func not in seen and _is_uncounted(func, known):
                raise UncountedError(f"not defined for {func}, for whose operations there is no formula")
            seen.add(func)
            return func(*args, **(kwargs or {}))

    with ExitStack() as stack:
        stack.enter_context(_without_fused_layers(module))
        stack.enter_context(evaluation_mode(module))
        stack.enter_context(torch.no_grad())
        counter = stack.enter_context(FlopCounterMode(display=False, custom_mapping=more))
        stack.enter_context(Watch())
        called_with(module, example)
    return int(counter.get_total_flops())


def _is_uncounted(func: Any, known: set[Any]) -> bool:
    if func.overloadpacket in known:
        return False
    return func.namespace not in _OWN or (is_product(func) and not _is_composite(func))


def is_product(func: Any) -> bool:
    """Return whether an operation of PyTorch multiplies tensors other than element by element, by its name."""
    name = func.overloadpacket.__name__
    return not name.startswith(_ELEMENTWISE) and not _MULTIPLY.isdisjoint(name.split("_"))


def _is_composite(func: Any) -> bool:
    """Return whether an operation is made of others, which come here, too."""
    return bool(func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd))


@contextmanager
def _without_fused_layers(module: nn.Module) -> Iterator[None]:
    """Have attention and recurrent layers run as products of matrices instead of as operations of their own."""
    fast = torch.backends.mha.get_fastpath_enabled()
    recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if recurrent:
                # PyTorch warns of Intel's TF32 where there is no such device whenever flags are set.
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", UserWarning)
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
