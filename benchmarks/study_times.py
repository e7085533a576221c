"""How long do all declared studies take at their default sizes, two at a time with one thread each?  an hour or two

    python benchmarks/study_times.py [--folder FOLDER] [--at-once 2] [--data cifar10=cifar10.npz] [--pattern fig2.toml]

Every study is a process of its own, as a user would type it, with a database and a report of its own in the folder. Run
again with the same folder, interrupted studies go on, and finished ones say so in seconds: only a run in a new folder
is a measurement, and only that is written to ``results``. A study whose data must be downloaded first is left out, and
the result says so, unless ``--data`` gives them as arrays (the kind ``npz``). ``--data`` and ``--pattern``, of which
studies, can be typed more than once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import harness

ROOT = Path(__file__).parent.parent


def with_arrays(study: Path, copy: Path, arrays: Mapping[str, str]) -> Path:
    """Return the study, or a copy of its file that names archives of arrays in the place of data sets."""
    given = text = study.read_text(encoding="utf-8")
    for name, path in arrays.items():
        text = text.replace(f'name = "{name}"', f'name = "npz:{Path(path).resolve()}"')
    if text == given:
        return study
    copy.write_text(text, encoding="utf-8")
    return copy


def run(study: Path, folder: Path, options: Sequence[str], arrays: Mapping[str, str]) -> dict[str, Any]:
    """Search one study and write its trained networks as CSV; return its times."""
    key = study.relative_to(ROOT / "studies").with_suffix("").as_posix()
    stem = folder / key.replace("/", "_")
    study = with_arrays(study, stem.with_suffix(".toml"), arrays)
    storage, report = f"sqlite:///{stem}.db", f"{stem}.html"
    artifacts = f"{stem}_artifacts"
    began = time.perf_counter()
    with stem.with_suffix(".csv").open("w") as table, stem.with_suffix(".log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "nas_sens", "search", str(study), "--storage", storage, "--artifacts", artifacts,
             "-o", report, "-q", "--format", "csv", *options],
            stdout=table, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)  # alone gives the times of this process and of no other
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 2:  # wrong input: here, data that are not there
        problem = stem.with_suffix(".log").read_text().strip().splitlines()[-1]
        print(key, problem, flush=True)
        return {"study": key, "left_out": problem}
    if process.returncode:
        raise SystemExit(f"{key} failed; see {stem.with_suffix('.log')}")
    times = {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_megabytes": round(usage.ru_maxrss / 1024),
    }
    print(key, times, flush=True)
    return {"study": key, **times}


def measure(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return the times of all studies, or None if they are no measurement; a quick run leaves no folder."""
    if arguments.quick:
        with tempfile.TemporaryDirectory() as folder:
            return times_in(Path(folder), arguments)
    return times_in(arguments.folder or Path(tempfile.mkdtemp(prefix="studies_")), arguments)


def times_in(folder: Path, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Return the times of all studies with their files in a folder; None if it held some already."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not any(folder.iterdir())
    studies = sorted(
        {path for pattern in arguments.pattern or ["*.toml"] for path in (ROOT / "studies").rglob(pattern)}
    )
    options = [*arguments.options, *(["--seed", str(arguments.seed)] if arguments.seed else [])]
    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.at_once) as pool:
        found = list(pool.map(lambda study: run(study, folder, options, dict(arguments.data)), studies))
    result = {
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "processor_minutes": round(sum(one.get("processor_seconds", 0) for one in found) / 60, 1),
        "studies_at_once": arguments.at_once,
        "threads_each": 1,
        "data_given": sorted(dict(arguments.data)),
    }
    print(result, f"reports in {folder}", flush=True)
    return {**result, "studies": found} if is_new else None


def named_file(text: str) -> tuple[str, str]:
    """Return the two sides of NAME=PATH."""
    name, sign, path = text.partition("=")
    if not sign or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"needs NAME=PATH of a file that is there; given {text}")
    return name, path


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--data", type=named_file, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--pattern", action="append", help="only studies whose path ends like this")
    parser.set_defaults(options=())
    small = {"pattern": ["boston.toml"], "options": ("--n-candidates", "2", "--top-k", "1")}
    harness.run(parser, measure, quick=small, threads=1)
