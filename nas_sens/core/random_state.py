"""A stream of the global random state for code that takes no generator, such as dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def global_stream(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global random state of the CPU and of ``device`` inside the ``with`` block; it is put back afterwards.

    Other devices are left alone, as torch.manual_seed would not.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def stream_state(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global streams of the CPU and of ``device``."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_stream_state(device: torch.device, state: list[torch.Tensor]) -> None:
    """Put back what :func:`stream_state` returned."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
