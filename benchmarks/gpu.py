"""A GPU against the CPU: whether both compute the same, and what the GPU saves; everything in one run and one JSON.

    python benchmarks/gpu.py                           # on a CUDA machine; exit code 2 where there is none
    python benchmarks/gpu.py --parts equality,scoring  # some of its parts
    python benchmarks/gpu.py --device cpu --quick      # tries every part without a GPU; its times mean nothing

The parts: ``equality`` (scores, closed form and losses of candidates of every family on both), ``scoring`` (by CUDA
events: S against the Jacobian norm, networks stacked, bfloat16), ``training`` (an epoch against loops over tensors and
a DataLoader: `training_speed.py`), ``workers`` (a search with one and more processes, and how busy they keep the GPU),
and ``table`` (that of `scoring_cost.py`). A part that fails says why in the result, and the others still run.
"""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable
from typing import Any

import gpu_equality
import gpu_scoring
import gpu_workers
import harness
import scoring_cost
import torch
import training_speed

from nas_sens.core.device import n_devices
from nas_sens.core.errors import first_line

PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "equality": gpu_equality.measure,
    "scoring": gpu_scoring.measure,
    "training": training_speed.measure,
    "workers": gpu_workers.measure,
    "table": scoring_cost.measure,
}


class Parser(harness.Parser):
    """Options that say in one line, with exit code 2, what is missing for a measurement on a GPU."""

    def parse(self, quick: dict[str, Any]) -> argparse.Namespace:
        arguments = super().parse(quick)
        kind = arguments.device.type
        if kind == "cpu" and not arguments.quick and arguments.output is None:
            self.error("--device cpu only tries the parts: add --quick, or say --output FILE")
        if kind not in ("cpu", "cuda"):  # whose work others' clocks do not wait for
            self.error(f"argument --device: must be cuda, cuda:N or cpu; given {arguments.device}")
        if kind == "cuda" and (arguments.device.index or 0) >= n_devices(kind):
            self.error(f"needs --device (PyTorch finds no {arguments.device}; --device cpu --quick tries every part)")
        return arguments


def parts_of(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(PARTS)}; given {', '.join(unknown)}")
    return names


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what each part found, or why it failed."""
    found: dict[str, Any] = {}
    for part in arguments.parts:
        print(f"\n=== {part}", flush=True)
        try:
            found[part] = PARTS[part](arguments)
        except Exception as error:  # hours of the other parts are not lost for it
            traceback.print_exc()
            found[part] = {"failed": f"{type(error).__name__}: {first_line(error)}"}
    failed = [part for part in arguments.parts if "failed" in found[part]]
    print("\nparts that failed:", ", ".join(failed) or "none")
    return {
        "measured_on": arguments.device.type,
        "cuda": torch.version.cuda if arguments.device.type == "cuda" else None,
        "failed": failed,
        **found,
    }


if __name__ == "__main__":
    parser = Parser(__file__, __doc__)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--parts", type=parts_of, default=tuple(PARTS), metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=15)
    parser.set_defaults(networks=list(scoring_cost.NETWORKS), inputs=128, batch=1000, batches=False, threads=None)
    parser.set_defaults(data=("digits", "mnist5k"), candidates=8, most_params=20_000_000, samples=500)
    parser.set_defaults(stacks=(4, 16), workers=(1, 2, 4), n_searched=400)
    small = {
        **{"rounds": 1, "networks": ["FC 6×100"], "inputs": 16, "batch": 20, "data": ("digits",), "candidates": 1},
        **{"most_params": 2_000_000, "samples": 40, "stacks": (2,), "workers": (1,), "n_searched": 6},
    }
    harness.run(parser, measure, quick=small)
