"""How long calls take: alone, several in a row, or in turns with others."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from harness import CPU


def seconds(
    function: Callable[[], object],
    device: torch.device = CPU,
    *,
    n: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds of one of ``n`` calls in a row; on CUDA from event to event, until the work is done."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(n):
            function()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1e3 / n
    began = clock()
    for _ in range(n):
        function()
    return (clock() - began) / n


def in_turns(functions: Mapping[str, Callable[[], object]], rounds: int, **options: Any) -> dict[str, list[float]]:
    """Return the seconds of every function in every round: taking turns, they share what else the machine does.

    Args:
        functions: By name; whoever wants them warm has called them before.
        rounds: How often each is timed.
        options: See :func:`seconds`.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(seconds(function, **options))
    return times
