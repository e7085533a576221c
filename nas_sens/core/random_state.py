"""The global random states, for code that takes no generator: seeded for a while, and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

CPU = torch.device("cpu")


@contextmanager
def global_stream(seed: int | None, device: torch.device = CPU) -> Iterator[None]:
    """Seed the global random state of the CPU and of ``device`` inside the ``with`` block; it is put back afterwards.

    Other devices are left alone, as torch.manual_seed would not.

    Args:
        seed: The seed; None to go on from the present state.
        device: An accelerator that is drawn on, too.
    """
    before = stream_state(device)
    try:
        if seed is not None:
            seed_stream(seed, device)
        yield
    finally:
        set_stream_state(device, before)


def seed_stream(seed: int, device: torch.device) -> None:
    """Seed the global random state of the CPU and of ``device``, and no other."""
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        _seed(device, seed)


@contextmanager
def foreign_streams(seed: int) -> Iterator[None]:
    """Seed the global random states of Python and NumPy inside the ``with`` block; they are put back afterwards."""
    before = foreign_state()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - foreign code draws from it
        yield
    finally:
        set_foreign_state(before)


def foreign_state() -> list[Any]:
    """Return the global random states of Python and NumPy, in lists, numbers and texts."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002
    kind, keys, *rest = state
    return [[version, list(words), gauss], [kind, keys.tolist(), *rest]]


def set_foreign_state(state: Sequence[Any]) -> None:
    """Put back what :func:`foreign_state` returned."""
    (version, words, gauss), (kind, keys, place, has_gauss, cached) = state
    random.setstate((version, tuple(words), gauss))
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), place, has_gauss, cached))  # noqa: NPY002


def stream_state(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global streams of the CPU and of ``device``."""
    return [torch.get_rng_state(), *([] if device.type == "cpu" else [_of(device).get_rng_state(*_which(device))])]


def set_stream_state(device: torch.device, state: list[torch.Tensor]) -> None:
    """Put back what :func:`stream_state` returned."""
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        _of(device).set_rng_state(state[1], *_which(device))


def _seed(device: torch.device, seed: int) -> None:
    module = _of(device)
    with module.device(device) if hasattr(module, "device") else nullcontext():
        module.manual_seed(seed)


def _of(device: torch.device) -> Any:
    """Return PyTorch's module of a type of devices: ``torch.cuda``, ``torch.xpu``, ``torch.mps``."""
    return getattr(torch, device.type)


def _which(device: torch.device) -> list[torch.device]:
    """Return the argument that says which device is meant; there is but one of Apple's, whose functions take none."""
    return [] if device.type == "mps" else [device]
