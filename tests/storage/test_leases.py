"""Two machines on one study: what one of them trains, the other leaves alone, and nothing is stored twice.

Hosts and containers are namespaces of the kernel here, which need permission to be made. Neither names of hosts nor
process identifiers nor the machines' own clocks decide who has a training, but heartbeats on the database's clock.
"""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.stored_candidates import trainings_in

ROOT = Path(__file__).parents[2]
STUDY = """
name = "two"
[search_space.fc]
depth = 1
width = { type = "int", low = 8, high = 40 }
[data]
name = "digits"
train_samples = 200
[search]
n_candidates = 6
[select]
rule = "lowest"
top_k = 1
control = 0
[train]
epochs = 1500
seeds = 1
checkpoint_seconds = 0.2
"""
RUN = "import sys, time; now, ahead = time.time, float(sys.argv.pop(1)); time.time = lambda: now() + ahead; "
RUN += "from nas_sens.cli.main import main; main()"


def in_namespaces(*kinds: str) -> list[str]:
    return ["unshare", *(f"--{kind}" for kind in kinds), "--fork"]


HOST = [*in_namespaces("uts"), "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]  # another host name
CONTAINER = in_namespaces("pid", "mount-proc")  # the same host name, process identifiers of its own


def can_make_namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return not any(subprocess.run([*c, "true"], capture_output=True, timeout=30).returncode for c in (HOST, CONTAINER))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_make_namespaces(), reason="namespaces of the kernel may not be made here"),
]


def start(folder: Path, prefix: list[str], *, clock: float = 0.0) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", RUN, str(clock), "search", "two.toml", "-q", "--device", "cpu"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, text=True)


def wait_for(what: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError("it did not come to this")
        time.sleep(0.2)


def trainings(folder: Path) -> list[FrozenTrial]:
    storage = f"sqlite:///{folder}/nas_sens.db"
    return trainings_in(storage, "two") if "two" in optuna.get_all_study_names(storage) else []


def is_training(folder: Path) -> bool:
    """Return whether a training runs that has told of some epochs."""
    with contextlib.closing(sqlite3.connect(folder / "nas_sens.db", timeout=60)) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'nas_sens_leases'"  # the last table that is made
        if not connection.execute(query).fetchone()[0]:
            return False
    return any(t.state == TrialState.RUNNING and len(t.intermediate_values) > 9 for t in trainings(folder))


def finished(folder: Path) -> list[str]:
    """Digests of the stored trainings."""
    return [t.user_attrs["digest"] for t in trainings(folder) if "val_loss" in t.user_attrs]


def succeed(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        if code := process.wait(120):
            raise RuntimeError(f"a search ended with {code}")


def pause_for_601_seconds(folder: Path) -> None:
    """Make the last sign of life of whoever has a lease 601 s old, as if that time had passed."""
    with sqlite3.connect(folder / "nas_sens.db", timeout=60) as connection:
        for table in ("nas_sens_leases", "trial_heartbeats"):
            connection.execute(f"UPDATE {table} SET heartbeat = datetime(heartbeat, '-601 seconds')")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.toml").write_text(STUDY)
    return tmp_path


def check_once(folder: Path) -> None:
    assert collections.Counter(finished(folder)).most_common(1)[0][1] == 1, "a training is stored twice"
    assert len(finished(folder)) == 1


@contextlib.contextmanager
def paused(first: subprocess.Popen[str], folder: Path) -> Iterator[None]:
    """Stop a search in the middle of its training for a while, as a slow epoch or a busy machine would."""
    (worker,) = map(int, Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split())  # of unshare
    os.kill(worker, signal.SIGSTOP)
    while is_locked(folder):  # it was caught in a write, which is not what is tested
        os.kill(worker, signal.SIGCONT)
        time.sleep(0.01)
        os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def is_locked(folder: Path) -> bool:
    connection = sqlite3.connect(folder / "nas_sens.db", timeout=0.2)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def give_time(process: subprocess.Popen[str], seconds: float = 40.0) -> None:
    """Wait until a process ends, or long enough for it to have taken over what it should leave alone."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def test_a_container_with_the_same_host_name_is_left_alone(folder: Path) -> None:
    first = start(folder, CONTAINER)
    wait_for(lambda: is_training(folder))
    with paused(first, folder):
        second = start(folder, [])
        give_time(second)
    succeed(first, second)
    check_once(folder)
    (done,) = trainings(folder)
    assert done.state == TrialState.COMPLETE, "it was taken over"


def test_a_clock_700_seconds_ahead_takes_nothing_over(folder: Path) -> None:
    first = start(folder, HOST)
    wait_for(lambda: is_training(folder))
    with paused(first, folder):
        second = start(folder, [], clock=700.0)
        give_time(second)
    succeed(first, second)
    check_once(folder)
    (done,) = trainings(folder)
    assert done.state == TrialState.COMPLETE, "it was taken over"


def test_who_wakes_up_after_its_lease_is_over_stores_nothing(folder: Path) -> None:
    first = start(folder, HOST)
    wait_for(lambda: is_training(folder))
    with paused(first, folder):
        pause_for_601_seconds(folder)
        second = start(folder, [])
        succeed(second)
    succeed(first)
    check_once(folder)
    lost, done = trainings(folder)
    assert (lost.state, done.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert done.system_attrs["retry_history"] == [lost.number]
    assert lost.user_attrs["worker"].startswith("elsewhere:")
    assert not done.user_attrs["worker"].startswith("elsewhere:")
