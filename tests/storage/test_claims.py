"""Claims: real processes on one SQLite file never both hold one, and what a dead one held is taken over."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import sqlalchemy

from nas_sens.storage import claims as claims_module
from nas_sens.storage.claims import STALE_SECONDS, Claims

# The file by itself, since the whole package with PyTorch takes seconds to import.
PRELUDE = f"""
import importlib.util, os, sys, time
import sqlalchemy
spec = importlib.util.spec_from_file_location("claims", {claims_module.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
claims = lambda: module.Claims(sqlalchemy.create_engine(sys.argv[1], connect_args={{"timeout": 60}}))
"""


def start(url, code, *args):
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), url, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def finish(process, timeout=60):
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return out


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'claims.db'}"


@pytest.fixture
def engine(url):
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 60})
    yield engine
    engine.dispose()


def set_row(engine, **values):
    with engine.begin() as connection:
        connection.execute(claims_module._TABLE.update().values(**values))


def n_rows(engine):
    with engine.begin() as connection:
        return connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(claims_module._TABLE)).scalar()


def test_a_claim_is_taken_once_by_study_and_item(engine):
    mine, other = Claims(engine), Claims(engine)
    other._worker = f"{claims_module.socket.gethostname()}:{os.getppid()}:{claims_module._start_time(os.getppid())}"
    assert mine.take("s", "a")
    assert not other.take("s", "a")
    assert other.take("s", "b")
    assert other.take("s2", "a")
    assert mine.take("s", "a"), "what this process has, it has"
    other.release("s", "a")
    assert not other.take("s", "a"), "only the holder gives a claim up"
    mine.release("s", "a")
    assert other.take("s", "a")


def test_hold_gives_up_after_an_error(engine):
    def fail():
        with Claims(engine).hold("s", "a"):
            assert n_rows(engine) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert n_rows(engine) == 0


def test_claims_of_another_machine_are_lost_when_stale_and_kept_by_heartbeats(engine):
    mine, other = Claims(engine), Claims(engine)
    other._worker = "another-host:1:123"
    assert other.take("s", "a")
    assert not mine.take("s", "a")
    set_row(engine, heartbeat=time.time() - STALE_SECONDS - 1)
    other.beat("s", "a")
    assert not mine.take("s", "a")
    mine.beat("s", "a")  # is not its own, and does nothing
    set_row(engine, heartbeat=time.time() - STALE_SECONDS - 1)
    assert mine.take("s", "a")
    assert not other.take("s", "a")


def test_a_process_number_that_was_given_again_is_another_process(engine):
    mine, other = Claims(engine), Claims(engine)
    other._worker = f"{claims_module.socket.gethostname()}:{os.getpid()}:1"
    assert other.take("s", "a")
    assert mine.take("s", "a")


def test_two_processes_never_hold_the_same_claim(url, tmp_path):
    code = """
    go = sys.argv[2] + "/go"
    print("ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.001)
    held = claims()  # both make the table at the same time
    for _ in range(25):
        with held.hold("s", "a", poll_seconds=0.002):
            lock = os.open(sys.argv[2] + "/lock", os.O_CREAT | os.O_EXCL)  # fails if the other is in here
            time.sleep(0.002)
            os.close(lock)
            os.remove(sys.argv[2] + "/lock")
    """
    processes = [start(url, code, tmp_path) for _ in range(2)]
    assert [p.stdout.readline() for p in processes] == ["ready\n"] * 2
    (tmp_path / "go").touch()
    for process in processes:
        finish(process)


def test_items_are_shared_out_without_overlap(url, tmp_path):
    code = """
    held = claims()
    print("ready", flush=True)
    sys.stdin.readline()
    print(*[i for i in range(60) if held.take("s", str(i))])
    sys.stdout.flush()
    sys.stdin.readline()  # alive until both are through
    """
    processes = [start(url, code) for _ in range(2)]
    for p in processes:
        assert p.stdout.readline() == "ready\n"
    for p in processes:
        p.stdin.write("\n")
        p.stdin.flush()
    taken = [p.stdout.readline().split() for p in processes]
    for p in processes:
        finish(p)
    assert sorted(map(int, taken[0] + taken[1])) == list(range(60))


TAKE_AND_WAIT = """
assert claims().take("s", "a")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_claim_of_a_killed_process_is_taken_over_at_once(url, engine, is_reaped):
    process = start(url, TAKE_AND_WAIT)
    try:
        assert process.stdout.readline() == "ready\n"
        mine = Claims(engine)
        assert not mine.take("s", "a")
        process.kill()
        if is_reaped:
            process.wait(10)
        elif Path("/proc/self/stat").exists():  # a zombie, as left by a parent that does not wait for its children
            stat = Path(f"/proc/{process.pid}/stat")
            deadline = time.monotonic() + 10
            while ") Z " not in stat.read_text() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert ") Z " in stat.read_text()
        else:
            pytest.skip("zombies are told by /proc")
        assert mine.take("s", "a")
    finally:
        process.kill()
        process.communicate()


def test_only_one_of_two_takes_over(url, engine):
    dead = Claims(engine)
    dead._worker = f"{claims_module.socket.gethostname()}:{2**22 + 1}:1"
    assert all(dead.take("s", str(i)) for i in range(40))
    code = """
    held = claims()
    print("ready", flush=True)
    sys.stdin.readline()
    print(*[i for i in range(40) if held.take("s", str(i))])
    sys.stdout.flush()
    sys.stdin.readline()
    """
    processes = [start(url, code) for _ in range(2)]
    for p in processes:
        assert p.stdout.readline() == "ready\n"
    for p in processes:
        p.stdin.write("\n")
        p.stdin.flush()
    taken = [p.stdout.readline().split() for p in processes]
    for p in processes:
        finish(p)
    assert sorted(map(int, taken[0] + taken[1])) == list(range(40))
