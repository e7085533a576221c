"""How long it takes to score all 15,625 cells of NAS-Bench-201, resumed once after a kill.

    python benchmarks/nasbench201_all_cells.py --data cifar10.npz [--cells CELLS.csv.gz] [--jobs 2] [--kill-after 60]

Runs ``nas-sens score`` on the bundled space ``nasbench201`` in ``--jobs`` processes of one thread each, on a smaller
network of every cell; kills them all after ``--kill-after`` seconds and runs them again. With ``--cells``, a CSV with
``arch`` and ``cifar10_test_accuracy_percent``, log S is compared with these accuracies.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import harness
from csv_rows import accuracies, read_rows
from scipy.stats import spearmanr

import nas_sens as ns
from nas_sens.core.candidates import ScoredCandidate
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage

STUDY = """
name = "all_cells"
search_space = "nasbench201"
[data]
name = "npz:{data}"
[score]
estimator = "monte_carlo"
seeds = 2
n_inputs = 32
reduced = {{ cells_per_stage = 1, channels = 8 }}
[search]
sampler = "enumerate"
n_candidates = {n}
seed = {seed}
"""


def run(command: list[str], jobs: int, kill_after: float | None = None) -> float:
    """Return the seconds that so many processes took together, killed or to their end."""
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(jobs)]
    if kill_after is not None:
        time.sleep(kill_after)
        for process in processes:
            process.kill()
    codes = [process.wait() for process in processes]
    if kill_after is None and any(codes):
        raise SystemExit(f"scoring ended with exit codes {codes}")
    return time.perf_counter() - start


def n_stored(url: str) -> int:
    """Return how many candidates are stored; none if the processes were killed before there was a study."""
    storage = StudyStorage(url)
    return len(storage.scored("all_cells")) if storage.exists("all_cells") else 0


def against_accuracy(candidates: Sequence[ScoredCandidate], cells: Path) -> dict[str, Any]:
    """Return the rank correlation of log S with the accuracy, dead cells last."""
    scores = {ns.load_spec(c.architecture).known_as[0]: c.log10_sensitivity for c in candidates}
    known = {arch: value for arch, value in accuracies(read_rows(cells)).items() if arch in scores}
    pairs = [(-1e9 if scores[arch] is None else scores[arch], value) for arch, value in known.items()]
    rho = float(spearmanr(*zip(*pairs, strict=True)).statistic) if pairs else None
    return {"spearman_with_accuracy": rho and round(rho, 4), "n_compared": len(pairs)}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return numbers, times and memory of both runs."""
    with tempfile.TemporaryDirectory() as folder:
        study, url = Path(folder) / "study.toml", f"sqlite:///{folder}/study.db"
        study.write_text(STUDY.format(data=arguments.data.resolve(), n=arguments.n, seed=arguments.seed))
        command = [sys.executable, "-m", "nas_sens", "score", str(study), "--storage", url, "--quiet"]
        killed = run(command, arguments.jobs, arguments.kill_after)
        n_before = n_stored(url)
        resumed = run(command, arguments.jobs)
        candidates = read_result(StudyStorage(url), "all_cells").candidates
        protocol = study.read_text().split("[score]\n")[1].splitlines()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    of_run = {"jobs": arguments.jobs, "threads of each": 1, "note": arguments.note}
    result = {
        "n_cells": len(candidates),
        "n_ranked": sum(c.is_ok for c in candidates),
        "n_distinct_scores": len({c.log10_sensitivity for c in candidates}),
        "n_before_the_kill": n_before,
        "seconds": {"until the kill": round(killed), "resumed": round(resumed)},
        "cpu_minutes": round((usage.ru_utime + usage.ru_stime) / 60, 1),
        "largest_process_megabytes": round(usage.ru_maxrss / 1024),
        "protocol": protocol,
        "environment": harness.environment() | of_run,
    }
    if arguments.cells is not None:
        result |= against_accuracy(candidates, arguments.cells)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    return result


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_file("data", "npz file of CIFAR-10 with x_train, y_train, x_test, y_test")
    parser.add_file("cells", "CSV file of accuracies to compare with", is_needed=False)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kill-after", type=float, default=60.0)
    parser.add_argument("--note", default="", help="what else ran on the machine, for the result")
    parser.set_defaults(n=15625)
    harness.run(parser, measure, quick={"n": 20, "jobs": 1, "kill_after": 4.0}, threads=1)
