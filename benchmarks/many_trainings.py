"""What one more training costs when thousands are finished: looking what there is, planning, storing.

    python benchmarks/many_trainings.py [--n 200 1000 2000] [--before FOLDER]

With ``--before``, a checkout of the last revision that kept a search in two studies (d484f77) does the same on a
database of its own, in turns with the present one. Seconds are of the processor, as others may use the disk. Storing
is, now, to let a training wait, to take and to finish it; before, to write it when it was finished.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import harness

STUDY = """
name = "many"
[search_space.fc]
depth = { type = "int", low = 1, high = 8 }
width = { type = "int", low = 4, high = 4096 }
[data]
name = "digits"
[search]
n_candidates = %d
[select]
rule = "random"
top_k = 100000
control = 0
"""
FILL = """
import sys
import numpy as np
import nas_sens as ns
from nas_sens.core.candidates import TrainedCandidate
from nas_sens.storage.study_storage import StudyStorage
storage = StudyStorage("sqlite:///many.db")
candidates = storage.scored("many")
rng = np.random.default_rng(int(sys.argv[2]))
records = []
is_one_study = hasattr(storage, "enqueue")
for c in candidates[: int(sys.argv[1])]:
    loss, error = rng.random(2).tolist()
    records.append(TrainedCandidate(
        digest=c.digest, architecture=c.architecture, params=c.params, flops=c.flops,
        **{"candidate" if is_one_study else "source_trial": c.number},
        chosen_by="random", reason="random", n_seeds=2, val_loss=loss, val_error=error, test_loss=loss,
        test_error=error, train_loss=loss, train_error=error, log10_sensitivity_before=c.log10_sensitivity,
        curve=tuple(rng.random(20).tolist()), curve_epochs=tuple(range(1, 21)),
        curves={name: tuple(rng.random(20).tolist()) for name in ("val_error", "train_loss")}, seconds=1.0,
    ))
if is_one_study:
    storage.add_trained("many", records, seen=storage.trainings("many"))
else:
    for record, c in zip(records, candidates):
        storage.add_trained("many", record, c, {})
"""
# Runs on both revisions: what a search does for each training beside training.
STEPS = """
import dataclasses, json, sys, time
import nas_sens as ns
from nas_sens.pipeline.plan import plan_training
from nas_sens.pipeline.train_summary import record_of
from nas_sens.storage.study_storage import StudyStorage
try:
    from nas_sens.pipeline.pool import Pool
except ImportError:  # an earlier revision, which puts features together in every plan
    Pool = list
spec = ns.load_study("many.toml")
storage = StudyStorage("sqlite:///many.db")
candidates = Pool(storage.scored("many"))
template = storage.trained("many")[0]
planned = plan_training(spec, candidates, storage.trained("many"))[: int(sys.argv[1])]
is_one_study = hasattr(storage, "enqueue")
seconds = {"look": [], "plan": [], "store": []}
for p in planned:
    began = time.process_time()
    trained = storage.trained("many")
    looked = time.process_time()
    plan_training(spec, candidates, trained)
    made = time.process_time()
    record = dataclasses.replace(template, digest=p.candidate.digest, architecture=p.candidate.architecture,
                                 **{"candidate" if is_one_study else "source_trial": p.candidate.number})
    if is_one_study:
        storage.enqueue("many", [record_of(p)], seen=storage.trainings("many"))
        storage.finish("many", storage.take("many"), record, {})
    else:
        storage.add_trained("many", record, p.candidate, {})
    stored = time.process_time()
    for name, value in zip(seconds, (looked - began, made - looked, stored - made)):
        seconds[name].append(value)
print(json.dumps(seconds))
"""


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the milliseconds of every step by number of finished trainings and revision."""
    revisions = {"now": Path(__file__).resolve().parents[1]}
    revisions |= {"before": arguments.before.resolve()} if arguments.before else {}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many.toml").write_text(STUDY % (max(arguments.n) + 100))
        score = ("-m", "nas_sens", "score", "many.toml", "-q", "--storage", "sqlite:///many.db")
        for n in arguments.n:
            for revision, root in revisions.items():
                scored = folder / f"{revision}.db"
                if not scored.exists():
                    (folder / "many.db").unlink(missing_ok=True)
                    _run(folder, root, *score)
                    shutil.copy(folder / "many.db", scored)
                shutil.copy(scored, folder / "many.db")
                _run(folder, root, "-c", FILL, str(n), str(arguments.seed))
                found = json.loads(_run(folder, root, "-c", STEPS, str(arguments.rounds)))
                row = {step: round(statistics.median(values) * 1e3, 2) for step, values in found.items()}
                rows.append({"revision": revision, "finished": n, "milliseconds": row})
                print(rows[-1], flush=True)
    return {"rounds": arguments.rounds, "rows": rows}


def _run(folder: Path, root: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[200, 1000, 2000], help="finished trainings")
    parser.add_argument("--before", type=harness.checkout, metavar="FOLDER", help="a checkout of the revision before")
    parser.set_defaults(rounds=20)
    harness.run(parser, measure, quick={"n": [10], "rounds": 2})
