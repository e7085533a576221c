"""A search of 100,000 fully-connected candidates, or a million: scored in closed form, stored, ranked and reported.

    python benchmarks/large_search.py [--n 100000] [--before FOLDER]

Every step is a process of its own, as a user would type it; the database lies in a temporary folder. With ``--before``,
a checkout of another revision does each step on a database of its own, right after the present one.
"""

from __future__ import annotations

import argparse
import json
import os
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
init_scale = {scales}
"""
SCALES = [1.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.2, 1.3, 1.4]
STEPS = ("score large.toml --format csv", "rank large --scored -n 10", "train large", "report large")
COMMAND = """
import atexit, json, re, sys, time
from pathlib import Path
def note():
    status = Path("/proc/self/status")  # getrusage has that of the process that began this one, if that is more
    peak = re.search(r"VmHWM:\\s*(\\d+)", status.read_text()) if status.exists() else None
    Path("note.json").write_text(json.dumps([time.process_time(), int(peak[1]) / 1024 if peak else None]))
atexit.register(note)
from nas_sens.cli.main import main
main(sys.argv[1:])
"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds and the memory of every step."""
    revisions = {"now": Path(__file__).resolve().parents[1]}
    revisions |= {"before": arguments.before.resolve()} if arguments.before else {}
    steps: dict[str, dict[str, Any]] = {step: {} for step in STEPS}
    with tempfile.TemporaryDirectory() as name:
        folders = {revision: Path(name) / revision for revision in revisions}
        for folder in folders.values():
            folder.mkdir()
            (folder / "large.toml").write_text(STUDY.format(n=arguments.n, seed=arguments.seed))
            scales = SCALES if arguments.n > 150_000 else 1.0  # depths, widths and inits alone are 196,416
            (folder / "space.toml").write_text(SPACE.format(width=arguments.width, scales=scales))
        for step in STEPS:
            for revision, root in revisions.items():
                steps[step][revision] = _run(step, folders[revision], root)
                print(step, revision, steps[step][revision], flush=True)
        megabytes = {r: round((f / "large.db").stat().st_size / 1e6, 1) for r, f in folders.items()}
    return {"n_candidates": arguments.n, "steps": steps, "database_megabytes": megabytes}


def _run(step: str, folder: Path, root: Path) -> dict[str, Any]:
    began = time.perf_counter()
    command = [sys.executable, "-c", COMMAND, *step.split(), "--storage", "sqlite:///large.db"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = round(time.perf_counter() - began, 1)
    processor, peak = json.loads((folder / "note.json").read_text())
    return {"seconds": seconds, "processor_seconds": round(processor, 1), "peak_megabytes": peak and round(peak)}


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--n", type=int, default=100_000, help="candidates")
    parser.add_argument("--before", type=harness.checkout, metavar="FOLDER", help="a checkout of another revision")
    parser.set_defaults(width=4096)
    harness.run(parser, measure, quick={"n": 20, "width": 64})
