"""What a measurement ran on, and where its result goes: shared by the benchmarks that run on any device."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import torch


def environment(device: torch.device) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def write(result: dict[str, Any], path: Path, device: torch.device) -> None:
    """Write a result, beside that of the CPU if it is another device's."""
    path = path if device.type == "cpu" else path.with_stem(f"{path.stem}_{device.type}")
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {path.name}")
