"""A second Ctrl-C ends a process whatever it is doing, and its workers with it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cases.test_theirs import SPACE, STUDY

DEADLINE = 20.0
PRELUDE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
GUARD = """
import sqlite3, sys, threading, time
from nas_sens.core.interrupts import finish_first, raise_again, second_ends_process
def library():
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    sqlite3.connect(":memory:").execute(endless).fetchall()
def stubborn():
    while True:
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            pass
def storing():
    with finish_first():
        library()
def lock():
    held = threading.Lock(); held.acquire()
    while True:
        try:
            held.acquire()
        except KeyboardInterrupt:
            pass
with raise_again(), second_ends_process():
    print("begun", flush=True)
    {what}()
"""


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"{what} has not come"
        time.sleep(0.02)


def interrupt_twice(process: subprocess.Popen[str]) -> float:
    """Return the seconds that it lived after the second Ctrl-C."""
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None, "the first one lets it finish what is in hand"
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    process.wait(DEADLINE)
    return time.monotonic() - begin


@pytest.mark.parametrize("what", ["library", "stubborn", "storing", "lock"])
def test_it_ends_whatever_the_process_does(what: str) -> None:
    code = PRELUDE + GUARD.replace("{what}", what)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.1)
    assert interrupt_twice(process) < 2
    assert process.returncode == 130
    assert process.stderr is not None
    assert process.stderr.read() == "interrupted twice: ended at once; what was in hand is done again by the next run\n"


def test_one_key_that_comes_twice_is_one() -> None:
    code = PRELUDE + GUARD.replace("{what}", "stubborn")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.2)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.wait()


def children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc")
@pytest.mark.parametrize("n_workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_search_that_waits_for_a_locked_database_ends_with_its_workers(tmp_path: Path, n_workers: int) -> None:
    (tmp_path / "mine.toml").write_text(STUDY.replace("n_candidates = 3", "n_candidates = 30"))
    (tmp_path / "space.toml").write_text(SPACE.replace("width = 8", 'width = {type = "int", low = 4, high = 64}'))
    code = PRELUDE + "from nas_sens.cli.main import main; main()"
    workers = ["--workers", str(n_workers)] if n_workers else []
    process = subprocess.Popen(
        [sys.executable, "-c", code, "search", "mine.toml", "-q", *workers],
        cwd=tmp_path,
        env={**os.environ, "OPTUNA_STORAGE": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    database = tmp_path / "nas_sens.db"

    def has_begun() -> bool:
        return database.exists() and (not n_workers or len(children(process.pid)) >= n_workers)

    try:
        wait_for(has_begun, "the search")
        holder = sqlite3.connect(database, timeout=DEADLINE, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        time.sleep(1.0)
        started = children(process.pid)
        assert interrupt_twice(process) < 3
        assert process.returncode == 130
        wait_for(lambda: not any(map(is_alive, started)), "the end of the workers")
        holder.execute("ROLLBACK")
        holder.close()
    finally:
        process.kill()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
