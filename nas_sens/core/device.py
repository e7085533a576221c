"""Choice of the device, the types that it has, and what it has no room for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .errors import InvalidInputError, OutOfMemoryError
from .messages import shown

_WITHOUT_FLOAT64 = ("mps",)


def resolve_device(name: str | torch.device) -> torch.device:
    """Return the device of a name; ``auto`` takes an accelerator where there is one, else the CPU.

    Args:
        name: ``auto``, ``cpu``, or an accelerator that PyTorch finds on this machine: ``cuda``, ``cuda:N``, ``xpu``,
            ``mps`` or any other type of device that it knows.

    Raises:
        InvalidInputError: There is no such device.
    """  # noqa: DOC501 - `_not_there` makes the error
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device(next(iter(_accelerators()), "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _not_there(name) from error
    if device.type != "cpu" and (device.index or 0) >= n_devices(device.type):
        raise _not_there(name)
    return device


def _not_there(name: str) -> InvalidInputError:
    found = [t if n == 1 else f"{t}:0 to {t}:{n - 1}" for t in _accelerators() for n in [n_devices(t)]]
    return InvalidInputError(
        f"the device must be auto, cpu or an accelerator that PyTorch finds, such as cuda, cuda:N, mps or xpu; here it "
        f"finds {', '.join(found) or 'none'}; given {shown(name)}; use --device cpu or auto"
    )


def _accelerators() -> list[str]:
    """Return the types of accelerators on this machine, the one that PyTorch itself takes first."""
    types = ["cuda", "xpu", "mps"]
    if hasattr(torch, "accelerator") and torch.accelerator.is_available():  # since PyTorch 2.6
        chosen = torch.accelerator.current_accelerator()
        types = list(dict.fromkeys([*([] if chosen is None else [chosen.type]), *types]))
    return [t for t in types if n_devices(t)]


def n_devices(kind: str) -> int:
    """Return how many devices of a type PyTorch finds; 0 for a type without a module of its own, such as ``meta``."""
    module = getattr(torch, kind, None)
    if module is None or not hasattr(module, "device_count"):
        return 0
    is_there = getattr(module, "is_available", None)
    return int(module.device_count()) if is_there is None or is_there() else 0


def has_float64(device: torch.device) -> bool:
    """Return whether a device has numbers of 64 bits; Apple's have not."""
    return device.type not in _WITHOUT_FLOAT64


def mixed_type(device: torch.device, precision: str) -> torch.dtype | None:
    """Return the type in which mixed precision computes on a device; None where all is float32.

    On the CPU that is bfloat16 where it has instructions for it (AVX512-BF16, AMX); elsewhere it would be slower.

    Args:
        device: The device.
        precision: ``float32``, ``bfloat16`` or ``float16``.
    """
    if precision == "float32" or device.type not in ("cpu", "cuda"):
        return None
    if device.type == "cpu" and (precision != "bfloat16" or not _has_bfloat16()):
        return None
    found: torch.dtype = getattr(torch, precision)
    return found


def _has_bfloat16() -> bool:
    """Return whether the CPU has instructions for bfloat16."""
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # since PyTorch 2.6
    return bool(asked is not None and asked())


def in_double(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float64: on its device, or on the CPU where that has no such type."""
    return (tensor if has_float64(tensor.device) else tensor.cpu()).double()


def where_doubles_are(device: torch.device) -> torch.device:
    """Return where :func:`in_double` puts tensors of a device."""
    return device if has_float64(device) else torch.device("cpu")


def model_where_doubles_are(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model itself, or a copy on the CPU where its device has no float64."""
    return model if has_float64(device) else copy.deepcopy(model).to("cpu")


@contextmanager
def memory_guard() -> Iterator[None]:
    """Turn all ways in which PyTorch, NumPy and Python say that there is no memory left into one error.

    Raises:
        OutOfMemoryError: What the ``with`` block does has no room on the device or on the CPU.
        RuntimeError: What else it raises of this kind is let through.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError("does not fit in memory") from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise OutOfMemoryError("does not fit in memory") from error
        raise
