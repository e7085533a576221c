"""Whether ``torchrun`` started this process as one of several; without importing PyTorch."""

from __future__ import annotations

import os


def is_torchrun() -> bool:
    """Return whether it did."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_led() -> bool:
    """Return whether it did, and another one leads."""
    return is_torchrun() and os.environ.get("RANK", "0") != "0"
