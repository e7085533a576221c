"""What printing, reporting and planning cost with thousands of trained networks, from made-up records in memory.

    python benchmarks/large_report.py [--n 500 1500 5000 10000] [--before FOLDER]

With ``--before``, a checkout of another revision does the same with the same records. Each step is a process of its
own; seconds are of its processor, without making the records, megabytes the most that it held, with them. A step that
takes longer than ``--limit`` seconds has neither. The step ``browser`` looks at the page in headless Chromium at two
widths, in light and dark: seconds until it is loaded and until its figures answer, what its console and axe-core
(serious findings) say, and how often it asked somebody for something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness

STEP = """
import contextlib, json, os, re, sys, time
from pathlib import Path
from made_up_study import made_up_study
step, n, n_candidates, seed = sys.argv[1], *map(int, sys.argv[2:])
study = made_up_study(n, n_candidates, seed=seed)
size, looks = None, {}
if step not in ("report", "rank", "browser"):
    import nas_sens as ns
    from nas_sens.pipeline.plan import plan_training
    from nas_sens.pipeline.pool import Pool
    space = ns.SearchSpace(name="made up", families={"fc": {"depth": 1, "width": [4, 5]}})
    spec = ns.StudySpec(name="made-up", search_space=space, data=ns.DataSpec(name="digits"),
                        select=ns.SelectSpec(rule=step, top_k=n + 1, control=n // 10))
if step == "browser":
    from nas_sens.report import write_report
    path = write_report("report.html", name=study.name, protocol=study.protocol, candidates=study.candidates,
                        trained=study.trials)
began = time.process_time()
if step == "browser":
    from tests.browser import listening
    for width, dark in ((1400, False), (1400, True), (400, False), (400, True)):
        with listening(width=width, dark=dark) as heard:
            start = time.perf_counter()
            heard.page.goto(path.absolute().as_uri())
            loaded = time.perf_counter() - start
            heard.page.wait_for_selector("html[data-explored]")
            key = f"{width}_{'dark' if dark else 'light'}"
            looks[key] = {"load_seconds": round(loaded, 2), "figures_seconds": round(time.perf_counter() - start, 2),
                          "console": heard.errors, "requests": len(heard.asked) - 1, "axe_serious": heard.serious()}
    size = path.stat().st_size / 1e6
elif step == "report":
    from nas_sens.report import write_report
    path = write_report("report.html", name=study.name, protocol=study.protocol, candidates=study.candidates,
                        trained=study.trials)
    size = path.stat().st_size / 1e6
elif step == "rank":
    from nas_sens.cli.output import show_scored, show_trained
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        if n:
            show_trained(study.trials, "table", "title")
        else:
            show_scored(study, "table", 10)
else:
    plan_training(spec, Pool(study.candidates), study.trials)
seconds = time.process_time() - began
found = {"seconds": round(seconds, 2)} | ({"page_megabytes": round(size, 2)} if size else {})
found |= {"looks": looks} if looks else {}
status = Path("/proc/self/status")  # getrusage has that of the process that began this one, if that is more
if status.exists():
    found["peak_megabytes"] = round(int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1]) / 1024)
print(json.dumps(found))
"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what every step costs by number of trained networks and revision."""
    revisions = {"now": Path(__file__).resolve().parents[1]}
    revisions |= {"before": arguments.before.resolve()} if arguments.before else {}
    sizes = [(n, n + arguments.more) for n in arguments.n] + [(arguments.few, n) for n in arguments.scored]
    rows = []
    for n, n_candidates in sizes:
        for step in arguments.steps:
            for revision, root in revisions.items():
                if step == "browser" and revision == "before":
                    continue  # it looks for what earlier pages did not have
                found = _run(root, [step, n, n_candidates, arguments.seed], arguments.limit)
                row = {"revision": revision, "step": step, "trained": n, "candidates": n_candidates}
                rows.append(row | (found or {"is_given_up": True}))
                print(rows[-1], flush=True)
    return {"limit_seconds": arguments.limit, "rows": rows}


def _run(root: Path, arguments: list[Any], limit: float) -> dict[str, Any] | None:
    paths = os.pathsep.join([str(root), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STEP, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired:
            return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[500, 1500, 5000, 10000], help="trained networks")
    parser.add_argument("--before", type=harness.checkout, metavar="FOLDER", help="a checkout of another revision")
    parser.add_argument("--steps", nargs="+", default=["rank", "report", "random", "calibrated", "browser"])
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a step is given up")
    parser.set_defaults(more=300, few=60, scored=[10_000, 100_000])
    harness.run(parser, measure, quick={"n": [20], "more": 5, "few": 3, "scored": [20], "steps": ["rank", "report"]})
