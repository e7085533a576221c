"""A search of 100,000 fully-connected candidates: scored in closed form, stored, ranked and reported.

    python benchmarks/large_search.py [--n 100000]

Every step is a process of its own, as a user would type it; the database lies in a temporary folder.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness

STUDY = """
search_space = "space.toml"
[data]
name = "digits"
[search]
n_candidates = {n}
seed = {seed}
[select]
top_k = 2
control = 2
[train]
epochs = 2
seeds = 1
"""
SPACE = """
[fc]
depth = {{ type = "int", low = 1, high = 12 }}
width = {{ type = "int", low = 4, high = {width} }}
init = ["he_normal", "standard_normal", "xavier_uniform", "he_uniform"]
"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds and the memory of every step."""
    steps = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "large.toml").write_text(STUDY.format(n=arguments.n, seed=arguments.seed))
        (Path(folder) / "space.toml").write_text(SPACE.format(width=arguments.width))
        for step in ("score large.toml --format csv", "rank large --scored -n 10", "train large", "report large"):
            began = time.perf_counter()
            command = [sys.executable, "-m", "nas_sens", *step.split(), "--storage", "sqlite:///large.db"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            steps[step] = {"seconds": round(time.perf_counter() - began, 1), "peak_megabytes_so_far": round(peak)}
            print(step, steps[step], flush=True)
        megabytes = round((Path(folder) / "large.db").stat().st_size / 1e6, 1)
    return {"n_candidates": arguments.n, "steps": steps, "database_megabytes": megabytes}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--n", type=int, default=100_000, help="candidates")
    parser.set_defaults(width=4096)
    harness.run(parser, measure, quick={"n": 20, "width": 64})
