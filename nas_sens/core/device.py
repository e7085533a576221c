"""Choice of the device, and what it has no room for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .errors import InvalidInputError, OutOfMemoryError


def resolve_device(name: str | torch.device) -> torch.device:
    """Return the device of a name; ``auto`` takes CUDA where there is one, else the CPU.

    Raises:
        InvalidInputError: There is no such device.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidInputError(f"the device must be auto, cpu, cuda or cuda:N; given {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise InvalidInputError(f"the device must be auto, cpu, cuda or cuda:N; given {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidInputError(
            f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices found; use --device cpu or auto"
        )
    return device


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
