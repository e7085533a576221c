"""A search of 100,000 fully-connected candidates: scored in closed form, stored, ranked and reported.

    python benchmarks/large_search.py [--n 100000]

Every step is a process of its own, as a user would type it; the database lies in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
import sqlalchemy
import torch

RESULT = Path(__file__).parent / "results" / "large_search.json"
STUDY = """
search_space = "space.toml"
[data]
name = "digits"
[search]
n_candidates = {n}
[select]
top_k = 2
control = 2
[train]
epochs = 2
seeds = 1
"""
SPACE = """
[fc]
depth = { type = "int", low = 1, high = 12 }
width = { type = "int", low = 4, high = 4096 }
init = ["he_normal", "standard_normal", "xavier_uniform", "he_uniform"]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000)
    n = parser.parse_args().n
    steps = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "large.toml").write_text(STUDY.format(n=n))
        (Path(folder) / "space.toml").write_text(SPACE)
        for step in ("score large.toml --format csv", "rank large --scored -n 10", "train large", "report large"):
            began = time.perf_counter()
            command = [sys.executable, "-m", "nas_sens", *step.split(), "--storage", "sqlite:///large.db"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            steps[step] = {"seconds": round(time.perf_counter() - began, 1), "peak_megabytes_so_far": round(peak)}
            print(step, steps[step], flush=True)
        megabytes = round((Path(folder) / "large.db").stat().st_size / 1e6, 1)
    result = {
        "n_candidates": n,
        "steps": steps,
        "database_megabytes": megabytes,
        "environment": {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "optuna": optuna.__version__,
            "sqlalchemy": sqlalchemy.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {RESULT}")


if __name__ == "__main__":
    main()
