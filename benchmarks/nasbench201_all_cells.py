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
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from nasbench201_scores import ACCURACY, read
from scipy.stats import spearmanr

import nas_sens as ns
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage

RESULT = Path(__file__).parent / "results" / "nasbench201_all_cells.json"
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
n_candidates = 15625
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="npz file; without it, the result that is there is printed")
    parser.add_argument("--cells", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kill-after", type=float, default=60.0)
    parser.add_argument("--note", default="", help="what else ran on the machine, for the result")
    arguments = parser.parse_args()
    if arguments.data is None:
        print(RESULT.read_text(encoding="utf-8"), end="")
        return
    with tempfile.TemporaryDirectory() as folder:
        study, url = Path(folder) / "study.toml", f"sqlite:///{folder}/study.db"
        study.write_text(STUDY.format(data=arguments.data.resolve()))
        command = [sys.executable, "-m", "nas_sens", "score", str(study), "--storage", url, "--quiet"]
        killed = run(command, arguments.jobs, arguments.kill_after)
        n_before = len(StudyStorage(url).scored("all_cells"))
        resumed = run(command, arguments.jobs)
        candidates = read_result(StudyStorage(url), "all_cells").candidates
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    document = {
        "n_cells": len(candidates),
        "n_ranked": sum(c.is_ok for c in candidates),
        "n_distinct_scores": len({c.log10_sensitivity for c in candidates}),
        "n_before_the_kill": n_before,
        "seconds": {"until the kill": round(killed), "resumed": round(resumed)},
        "cpu_minutes": round((usage.ru_utime + usage.ru_stime) / 60, 1),
        "largest_process_megabytes": round(usage.ru_maxrss / 1024),
        "protocol": STUDY.split("[score]\n")[1].format().splitlines(),
        "environment": {
            **{"python": platform.python_version(), "torch": torch.__version__, "jobs": arguments.jobs},
            **{"threads of each": 1, "cores": os.cpu_count(), "note": arguments.note},
        },
    }
    if arguments.cells is not None:
        accuracy = {row["arch"]: float(row[ACCURACY]) for row in read(arguments.cells)}
        scores = {ns.load_spec(c.architecture).known_as[0]: c.log10_sensitivity for c in candidates}
        pairs = [(-1e9 if scores[arch] is None else scores[arch], value) for arch, value in accuracy.items()]
        document["spearman_with_accuracy"] = round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 4)
        document["n_compared"] = len(pairs)
    RESULT.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
