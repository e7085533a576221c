"""Many workers on one study, with simulated trainings: how much of their time they train, and what the database bears.

    python benchmarks/many_workers.py [--workers 1 4 16 64] [--server URL]

Workers are real processes, with the queue, the heartbeats and the retries of a search; their trainings only sleep for
random times (exponential, of the given mean), and one in twenty kills its worker. Nobody is told of that: the
training's heartbeat stops, and it goes to another worker after the grace time. Candidates are trained in the order in
which they are stored. Databases are an SQLite file and, with --server, an empty PostgreSQL database.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.distributions import IntDistribution

from nas_sens.core.candidates import ScoredCandidate, TrainedCandidate
from nas_sens.executors.base import EXECUTORS, Engine, EngineOptions, Task
from nas_sens.executors.supervisor import supervise
from nas_sens.storage.queue import MOST_WAITING
from nas_sens.storage.study_storage import StudyStorage

NAME = "many"
CRASHES = 0.05  # of trainings
GRACE_SECONDS = 6.0
POLL_SECONDS = 0.2


def simulate(*, worker: str, device: str, n_threads: int | None, url: str, mean: float, seed: int, folder: str) -> bool:
    """Train until nothing is left; the seconds that were spent on it are noted in the folder."""
    random.seed(f"{seed} {worker} {time.time()}")
    storage = StudyStorage(url, worker=worker, grace_seconds=GRACE_SECONDS, patience_seconds=60.0)
    note = Path(folder) / f"{worker}-{os.getpid()}.txt"
    while True:
        if (job := storage.take(NAME)) is None:
            if fill(storage):
                return True
            continue
        seconds = random.expovariate(1.0 / mean)
        if random.random() < CRASHES:
            time.sleep(seconds * random.random())
            os._exit(9)
        for epoch in range(1, 6):
            time.sleep(seconds / 5)
            job.report(epoch, 1.0 / epoch)
        record = TrainedCandidate(
            **{k: getattr(job.training, k) for k in ("digest", "architecture", "params", "flops", "candidate")},
            chosen_by="random", val_loss=seconds, val_error=0.1, curve=(1.0, 0.5, 0.3, 0.25, 0.2), seconds=seconds,
        )  # fmt: skip
        storage.finish(NAME, job, record, {})
        with note.open("a") as file:
            file.write(f"{time.time()} {seconds} {_peak_megabytes()} {time.process_time()}\n")


def _peak_megabytes() -> float:
    lines = Path("/proc/self/status").read_text().splitlines() if Path("/proc/self/status").exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def fill(storage: StudyStorage) -> bool:
    """Return whether all is done, having planned as a search does, or waited where others plan or train."""
    with storage.leases.claimed(NAME, "plan") as is_ours:
        if is_ours:
            storage.fail_stale(NAME)
            seen = storage.trainings(NAME)
            begun = {t.digest for t in seen.trained} | {u.training.digest for u in seen.underway}
            left = [c for c in storage.scored(NAME) if c.digest not in begun]
            if left:
                storage.enqueue(NAME, [_training(c) for c in left[:MOST_WAITING]], seen=seen)
                return False
            if not seen.underway:
                return True
    time.sleep(POLL_SECONDS * (0.5 + random.random()))
    return False


def _training(c: ScoredCandidate) -> TrainedCandidate:
    return TrainedCandidate(
        digest=c.digest, architecture=c.architecture, params=1, flops=1, candidate=c.number or 0, chosen_by="random"
    )


def prepare(url: str, n: int) -> StudyStorage:
    """Return a database with a study of ``n`` candidates."""
    storage = StudyStorage(url)
    storage.create(NAME, {"study": "{}", "space_digest": "simulated"}, objective="val_error")
    candidates = [
        ScoredCandidate(
            digest=f"{i:016d}", architecture=f'{{"family":"fc","width":{i}}}', params=i, flops=i,
            log10_sensitivity=0.0, estimator="closed_form", params_sampled={"width": i},
        )
        for i in range(1, n + 1)
    ]  # fmt: skip
    storage.add_scored(NAME, [(c, {"width": IntDistribution(1, n)}) for c in candidates])
    return storage


def measure_one(engine: Engine, url: str, n_workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``n_workers`` came to on an empty database."""
    n = arguments.per_worker * n_workers
    storage = prepare(url, n)
    before, began = _transactions(storage), time.monotonic()
    crashed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks = [
            Task(
                target="many_workers:simulate", worker=f"w{i}", device="cpu", n_threads=1, log=folder / f"w{i}.log",
                arguments={"url": url, "mean": arguments.seconds, "seed": arguments.seed, "folder": name},
            )
            for i in range(n_workers)
        ]  # fmt: skip
        supervise(
            engine, tasks, on_ended=lambda t, e: crashed.append(t.worker) if e.how == "lost" else None,
            on_poll=lambda: None, poll_seconds=0.2, max_restarts=1000,
        )  # fmt: skip
        notes = [[list(map(float, line.split())) for line in p.read_text().splitlines()] for p in folder.glob("*.txt")]
        names = [p.name.split("-")[0] for p in folder.glob("*.txt")]
    seconds = time.monotonic() - began
    trained = [t.digest for t in storage.trained(NAME)]
    n_transactions = _transactions(storage) - before
    return {
        "workers": n_workers,
        "trainings": n,
        "crashes": len(crashed),
        **_when_all_work(names, notes),
        "worker_cpu_milliseconds_a_training": round(1e3 * sum(rows[-1][3] for rows in notes) / n, 1),
        "transactions_a_training": round(n_transactions / n, 1) if n_transactions else None,
        "peak_megabytes_a_worker": round(max(row[2] for rows in notes for row in rows)),
        "lost": n - len(set(trained)),
        "doubled": sum(k - 1 for k in collections.Counter(trained).values()),
        "seconds": round(seconds, 1),
    }


def _when_all_work(names: Sequence[str], notes: Sequence[Sequence[Sequence[float]]]) -> dict[str, float]:
    """Return trainings a second and the share of time trained, from when all have begun until the first is out of work.

    A worker that crashed and was started again is one worker; starting it is time in which it does not train.
    """
    ends = collections.defaultdict(list)
    for name, rows in zip(names, notes, strict=True):
        ends[name] += [row[0] for row in rows]
    begin, end = max(min(e) for e in ends.values()), min(max(e) for e in ends.values())
    inside = [(max(begin, t - s), min(end, t)) for rows in notes for t, s, *_ in rows]
    trained = sum(max(0.0, b - a) for a, b in inside)
    n = sum(begin < t <= end for rows in notes for t, *_ in rows)
    return {
        "trainings_a_second": round(n / (end - begin), 2),
        "share_of_time_trained": round(trained / (len(ends) * (end - begin)), 3),
    }


def _transactions(storage: StudyStorage) -> int:
    """Return how many a server has committed so far; 0 where it does not say."""
    with suppress(sqlalchemy.exc.SQLAlchemyError), storage.rdb.engine.connect() as connection:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        return int(connection.execute(sqlalchemy.text(query)).scalar() or 0)
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the rows of all databases and numbers of workers."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    rows = []
    for database in [*([] if arguments.only_server else ["sqlite"]), *(["postgresql"] if arguments.server else [])]:
        for n_workers in arguments.workers:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/a.db" if database == "sqlite" else _empty(arguments.server)
                engine = EXECUTORS.get("local").open(EngineOptions())
                rows.append({"database": database, **measure_one(engine, url, n_workers, arguments)})
            print(rows[-1], flush=True)
    return {"mean_seconds_a_training": arguments.seconds, "grace_seconds": GRACE_SECONDS, "rows": rows}


def _empty(url: str) -> str:
    """Return the URL, its database being empty now."""
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP SCHEMA public CASCADE"))
        connection.execute(sqlalchemy.text("CREATE SCHEMA public"))
    engine.dispose()
    return url


if __name__ == "__main__":
    import harness  # PyTorch, which workers do without

    parser = harness.Parser(__file__, __doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64], help="numbers of workers")
    parser.add_argument("--per-worker", type=int, default=20, help="trainings")
    parser.add_argument("--seconds", type=float, default=3.0, help="mean of a training")
    parser.add_argument("--server", metavar="URL", help="of a PostgreSQL database that may be emptied")
    parser.add_argument("--only-server", action="store_true", help="leave SQLite out")
    harness.run(parser, measure, quick={"workers": [2], "per_worker": 5, "seconds": 0.2})
