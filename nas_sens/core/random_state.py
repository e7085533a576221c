"""The global random state, for code that takes no generator: seeded for a while, and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
        yield
    finally:
        set_stream_state(device, before)


def stream_state(device: torch.device) -> list[torch.Tensor]:
    """Return the state of the global streams of the CPU and of ``device``."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_stream_state(device: torch.device, state: list[torch.Tensor]) -> None:
    """Put back what :func:`stream_state` returned."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
