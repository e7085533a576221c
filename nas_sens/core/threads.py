"""A patient thread pool for machines that are shared.

PyTorch's CPU threads (GNU OpenMP) spin while they wait for each other. Where another process wants the cores, they
spin in its way and in each other's: measured on two cores beside two busy processes, training a small network took
five to seven times as long. Spinning for a thousand rounds before sleeping costs nothing measurable on an idle machine
and keeps more of the speed on a busy one. OpenMP reads the variable once, when PyTorch is first imported; a value that
is set already stays.
"""

from __future__ import annotations

import os


def prefer_sleeping() -> None:
    """Let OpenMP's threads sleep soon when they wait, unless the environment says otherwise."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
