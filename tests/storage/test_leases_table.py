"""Leases: real processes on one SQLite file never both hold one, and what nobody renews is taken over."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from nas_sens.storage import leases as leases_module
from nas_sens.storage.leases import GRACE_SECONDS, Leases

# The file by itself, since the whole package with PyTorch takes seconds to import.
PRELUDE = f"""
import importlib.util, os, sys, time
import sqlalchemy
spec = importlib.util.spec_from_file_location("leases", {leases_module.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
engine = sqlalchemy.create_engine(sys.argv[1], connect_args={{"timeout": 60}})
"""


def start(url: str, code: str, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(code), url, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'leases.db'}"


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": 60})
    yield engine
    engine.dispose()


def age(engine: sqlalchemy.Engine, seconds: float) -> None:
    """Let the last sign of life of all holders be so long ago, by the database's clock."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE nas_sens_leases SET heartbeat = datetime('now', '-{seconds} seconds')")


def rows(engine: sqlalchemy.Engine) -> set[tuple[str, str]]:
    with engine.begin() as connection:
        return {tuple(r) for r in connection.exec_driver_sql("SELECT study, item FROM nas_sens_leases")}


def test_a_lease_is_taken_once_by_study_and_item(engine: sqlalchemy.Engine) -> None:
    mine, other = Leases(engine), Leases(engine)
    assert mine.take("s", "a")
    assert not other.take("s", "a")
    assert not mine.take("s", "a"), "nor by two threads of a process"
    assert other.take("s", "b")
    assert other.take("s2", "a")
    assert set(mine.held) == {("s", "a")}
    with pytest.raises(KeyError):
        other.release("s", "a")
    assert rows(engine) == {("s", "a"), ("s", "b"), ("s2", "a")}
    mine.release("s", "a")
    assert other.take("s", "a")


def test_leases_of_one_worker_name_are_different_ones(engine: sqlalchemy.Engine) -> None:
    mine, other = Leases(engine, worker="w"), Leases(engine, worker="w")
    assert mine.take("s", "a")
    assert not other.take("s", "a")


def test_a_lease_is_given_up_after_an_error(engine: sqlalchemy.Engine) -> None:
    leases = Leases(engine)

    def fail(how: str) -> None:
        with leases.hold("s", "a") if how == "hold" else leases.claimed("s", "a"):
            assert rows(engine) == {("s", "a")}
            raise ZeroDivisionError

    for how in ("hold", "claimed"):
        with pytest.raises(ZeroDivisionError):
            fail(how)
        assert rows(engine) == set()
        assert leases.held == {}


def test_claimed_says_whether_it_is_held(engine: sqlalchemy.Engine) -> None:
    mine, other = Leases(engine), Leases(engine)
    with mine.claimed("s", "a") as is_mine, other.claimed("s", "a") as is_others:
        assert (is_mine, is_others) == (True, False)
    assert rows(engine) == set()
    with other.claimed("s", "a") as is_others:
        assert is_others


def test_hold_waits_and_says_so(engine: sqlalchemy.Engine) -> None:
    mine, other = Leases(engine), Leases(engine)
    assert mine.take("s", "a")
    waits = []

    def on_wait() -> None:
        waits.append(rows(engine))
        if len(waits) == 3:
            mine.release("s", "a")

    with other.hold("s", "a", poll_seconds=0.001, on_wait=on_wait):
        assert waits == [{("s", "a")}] * 3
        assert set(other.held) == {("s", "a")}


def test_only_the_databases_clock_makes_a_lease_old(engine: sqlalchemy.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Leases(engine), Leases(engine)
    assert mine.take("s", "a")
    monkeypatch.setattr("time.time", lambda: 4e9)  # of a machine that is decades ahead
    assert not other.take("s", "a")
    age(engine, GRACE_SECONDS - 10)
    assert not other.take("s", "a")
    age(engine, GRACE_SECONDS + 10)
    assert other.take("s", "a")
    assert not mine.take("s", "a"), "who takes over has all of the grace time"
    mine.release("s", "a")  # which the other one keeps
    assert rows(engine) == {("s", "a")}


def test_who_renews_keeps_what_is_held(engine: sqlalchemy.Engine) -> None:
    mine, other = Leases(engine), Leases(engine)
    assert mine.take("s", "a")
    age(engine, GRACE_SECONDS + 10)
    other.renew()  # has none
    mine.renew()
    assert not other.take("s", "a")
    age(engine, GRACE_SECONDS + 10)
    assert other.take("s", "a")
    age(engine, GRACE_SECONDS + 10)
    mine.renew()  # it is not the holder any more
    assert mine.take("s", "a")


def test_the_grace_time_is_that_of_who_wants_it(engine: sqlalchemy.Engine) -> None:
    mine, hasty = Leases(engine, grace_seconds=3600), Leases(engine, grace_seconds=20)
    assert mine.take("s", "a")
    age(engine, 10)
    assert not hasty.take("s", "a")
    age(engine, 30)
    assert not Leases(engine).take("s", "a")
    assert hasty.take("s", "a")


def test_what_a_worker_held_that_has_ended_is_free(engine: sqlalchemy.Engine) -> None:
    ended, like_it, mine = Leases(engine, worker="w_1"), Leases(engine, worker="w11"), Leases(engine)
    for study in ("s", "s2"):
        assert ended.take(study, "a")
        assert like_it.take(study, "b")
    mine.release_worker("s", "w_1")
    assert rows(engine) == {("s", "b"), ("s2", "a"), ("s2", "b")}, "an underscore is no placeholder"
    mine.release_worker("s", "w")
    assert rows(engine) == {("s", "b"), ("s2", "a"), ("s2", "b")}, "nor is a name's beginning the name"
    assert mine.take("s", "a")


def test_two_processes_never_hold_the_same_lease(url: str, tmp_path: Path) -> None:
    code = """
    go = sys.argv[2] + "/go"
    print("ready", flush=True)
    while not os.path.exists(go):
        time.sleep(0.001)
    held = module.Leases(engine)  # both make the table at the same time
    for _ in range(25):
        with held.hold("s", "a", poll_seconds=0.002):
            lock = os.open(sys.argv[2] + "/lock", os.O_CREAT | os.O_EXCL)  # fails if the other is in here
            time.sleep(0.002)
            os.close(lock)
            os.remove(sys.argv[2] + "/lock")
    """
    processes = [start(url, code, tmp_path) for _ in range(2)]
    assert [p.stdout.readline() for p in processes if p.stdout] == ["ready\n"] * 2
    (tmp_path / "go").touch()
    for process in processes:
        finish(process)
    assert not (tmp_path / "lock").exists()


def shared_out(url: str, n: int) -> list[list[int]]:
    """Return which of ``n`` items each of two processes takes, both alive until the other is through."""
    code = f"""
    held = module.Leases(engine)
    print("ready", flush=True)
    sys.stdin.readline()
    print(*[i for i in range({n}) if held.take("s", str(i))])
    sys.stdout.flush()
    sys.stdin.readline()
    """
    processes = [start(url, code) for _ in range(2)]
    pipes = [(p.stdin, p.stdout) for p in processes if p.stdin and p.stdout]
    assert [out.readline() for _, out in pipes] == ["ready\n"] * 2
    for into, _ in pipes:
        into.write("\n")
        into.flush()
    taken = [[int(i) for i in out.readline().split()] for _, out in pipes]
    for process in processes:
        finish(process)
    return taken


def test_items_are_shared_out_without_overlap(url: str) -> None:
    one, other = shared_out(url, 60)
    assert sorted(one + other) == list(range(60))


def test_only_one_of_two_takes_over(url: str, engine: sqlalchemy.Engine) -> None:
    ended = Leases(engine)
    assert all(ended.take("s", str(i)) for i in range(40))
    assert shared_out(url, 40) == [[], []]
    age(engine, GRACE_SECONDS + 10)
    one, other = shared_out(url, 40)
    assert sorted(one + other) == list(range(40))


def test_the_lease_of_a_killed_process_is_taken_over_after_the_grace_time(url: str, engine: sqlalchemy.Engine) -> None:
    process = start(url, 'assert module.Leases(engine).take("s", "a"); print("ready", flush=True); time.sleep(600)')
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    finally:
        process.kill()
        process.communicate()
    mine = Leases(engine)
    assert not mine.take("s", "a"), "that a process has ended is not seen from another machine"
    age(engine, GRACE_SECONDS + 10)
    assert mine.take("s", "a")


def test_tables_are_made_once_though_many_want_them(url: str) -> None:
    code = 'module.Leases(engine).take("s", str(os.getpid()))'
    processes = [start(url, code) for _ in range(4)]
    for process in processes:
        finish(process)
    engine = sqlalchemy.create_engine(url)
    assert rows(engine) == {("s", str(p.pid)) for p in processes}
    engine.dispose()
