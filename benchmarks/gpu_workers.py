"""The part of `gpu.py` on processes: a whole search with one and more workers, and how busy they keep the GPU."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch

PERIOD = 0.2  # seconds between two looks at the GPU
STUDY = """
name = "gpu_workers"
search_space = "fc_vs_cnn"
[data]
name = "mnist5k"
train_samples = 1000
[score]
estimator = "monte_carlo"
n_inputs = 64
seeds = 3
[search]
n_candidates = {n_candidates}
[select]
top_k = {n_trained}
control = 0
[train]
epochs = {epochs}
"""


class Utilisation(threading.Thread):
    """Looks at how busy the GPU is until it is told to stop."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(daemon=True)
        self.device, self.seen, self.problem = device, [], ""
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(PERIOD):
            try:
                self.seen.append(utilisation(self.device))
            except Exception as error:
                self.problem = f"{type(error).__name__}: {error}".partition("\n")[0]
                return

    def stop(self) -> dict[str, Any]:
        """Return the mean and the largest share of time, in per cent, in which the GPU worked; or why it is unknown."""
        self._is_over.set()
        self.join()
        if not self.seen:
            return {"unknown": self.problem or "the search was over at once"}
        mean = round(statistics.fmean(self.seen), 1)
        return {"mean_percent": mean, "most_percent": max(self.seen), "looks": len(self.seen)}


def utilisation(device: torch.device) -> int:
    """Return the share of the last moments in which a GPU worked, in per cent, by PyTorch or by nvidia-smi.

    Raises:
        RuntimeError: It is no CUDA device.
    """
    if device.type != "cuda":
        raise RuntimeError(f"{device.type} has no counter of its work")
    try:
        return torch.cuda.utilization(device)
    except (ModuleNotFoundError, RuntimeError):  # needs nvidia-ml-py
        index = str(device.index or 0)
        command = ["nvidia-smi", "-i", index, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout)


def search(n_workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and utilisation of one search, or why it failed."""
    n = arguments.n_searched
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.toml"
        n_trained = max(1, n // 40)
        study.write_text(STUDY.format(n_candidates=n, n_trained=n_trained, epochs=1 if arguments.quick else 10))
        watch = Utilisation(arguments.device)
        command = [
            *(sys.executable, "-m", "nas_sens", "search", str(study), "--workers", str(n_workers), "--quiet"),
            *("--device", str(arguments.device), "--storage", f"sqlite:///{folder}/study.db"),
            *("--report", f"{folder}/report.html"),
        ]
        watch.start()
        began = time.perf_counter()
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
            problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        except subprocess.TimeoutExpired:
            problem = "it took more than 15 minutes"
        seconds = time.perf_counter() - began
        found = watch.stop()
    return {"failed": problem} if problem else {"seconds": round(seconds, 2), "utilisation": found}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a search came to by the number of its workers."""
    found = {}
    for n in arguments.workers:
        found[str(n)] = search(n, arguments)
        print(f"  {n} workers: {found[str(n)]}", flush=True)
    return {"by_workers": found, "candidates": arguments.n_searched}
