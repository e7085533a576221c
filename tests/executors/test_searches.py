"""Searches by several workers that are killed, stopped and interrupted: nothing is lost, doubled or left undone."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.executors.searches import (
    N_TRAININGS,
    check_whole,
    declared,
    in_the_middle,
    is_alive,
    is_locked,
    search_alone,
    searching,
    trainings,
    wait_for,
    went_on_after,
    worker_logs,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are found by /proc")
NEVER = 3600  # seconds of grace: whoever waits for them does not end in time


def test_two_workers_train_each_candidate_once(tmp_path: Path) -> None:
    expected = search_alone(tmp_path, epochs=5)
    with searching(tmp_path) as search:
        err = search.end()
    assert len(trainings(tmp_path)) == N_TRAININGS
    check_whole(tmp_path, expected)
    assert len(re.findall("score: .* done in", err)) == len(re.findall("train: .* done in", err)) == 1, "one display"
    assert "worker" not in err
    logs = worker_logs(tmp_path)
    assert len(logs) == 2
    for number, text in enumerate(logs[name] for name in sorted(logs)):
        assert re.search(rf"worker \S+/local-\w+-{number} on cpu, \d+ threads", text)
    assert sum(text.count(" trained fc ") for text in logs.values()) == N_TRAININGS
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_worker_that_is_killed(folder: Path, alone: dict[str, float]) -> None:
    with searching(folder, grace=NEVER) as search:
        lost = search.until(lambda: in_the_middle(folder))
        os.kill(search.pid_of(lost), signal.SIGKILL)
        err = search.end()
    told = f"worker {lost.user_attrs['worker']} was lost; 1 trainings go to others: it ended with SIGKILL"
    assert told in err
    check_whole(folder, alone, n_lost=1, lost=[lost])
    (again,) = [t for t in trainings(folder) if t.system_attrs.get("failed_trial") == lost.number]
    assert again.system_attrs["retry_history"] == [lost.number]
    assert went_on_after(folder, again) >= max(lost.intermediate_values) - 200, "it goes on from its checkpoint"


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_scores(tmp_path: Path) -> None:
    file = declared(tmp_path, epochs=2)
    text = file.read_text().replace("n_candidates = 6", "n_candidates = 30").replace("n_inputs = 16", "n_inputs = 1000")
    file.write_text(text.replace("[score]\n", '[score]\nestimator = "monte_carlo"\nseeds = 40\n'))
    with searching(tmp_path, grace=NEVER) as search:
        search.until(lambda: len(search.workers()) == 2 and holders(tmp_path, "scores"))
        worker = holders(tmp_path, "scores")[0].rpartition("/")[0]
        os.kill(search.workers()[int(worker.rpartition("-")[2])], signal.SIGKILL)
        err = search.end()
    assert f"worker {worker} was lost: it ended with SIGKILL" in err
    done = trainings(tmp_path)
    assert [t.state for t in done] == [TrialState.COMPLETE] * N_TRAININGS
    assert len({t.user_attrs["digest"] for t in done}) == N_TRAININGS


def holders(folder: Path, item: str) -> list[str]:
    """Return who holds leases of a kind."""
    import sqlite3

    if not (folder / "nas_sens.db").exists():
        return []
    with sqlite3.connect(folder / "nas_sens.db") as connection:
        try:
            rows = connection.execute("SELECT item, holder FROM nas_sens_leases").fetchall()
        except sqlite3.OperationalError:
            return []
    return [holder for name, holder in rows if name.startswith(item)]


@pytest.mark.slow
def test_workers_of_a_parent_that_is_killed(folder: Path, alone: dict[str, float]) -> None:
    with searching(folder, grace=NEVER) as first:
        caught = first.until(lambda: in_the_middle(folder))
        workers = first.until(lambda: len(w := first.workers()) == 2 and w)
        first.process.kill()
        wait_for(lambda: not any(map(is_alive, workers.values())), 60)
    assert TrialState.RUNNING not in {t.state for t in trainings(folder)}, "they are put back"
    assert trainings(folder)[[t.number for t in trainings(folder)].index(caught.number)].state == TrialState.WAITING
    with searching(folder, grace=NEVER) as second:
        second.end()
    check_whole(folder, alone)
    (went_on,) = [t for t in trainings(folder) if t.number == caught.number]
    assert went_on_after(folder, went_on)


@pytest.mark.slow
def test_an_interrupt(folder: Path, alone: dict[str, float]) -> None:
    with searching(folder, grace=NEVER) as first:
        first.until(lambda: in_the_middle(folder))
        workers = first.until(lambda: len(w := first.workers()) == 2 and w)
        first.process.send_signal(signal.SIGINT)
        err = first.end(130, 60)
    assert err.splitlines()[-1].startswith("interrupted; what was finished is kept")
    assert "lost" not in err
    assert "Traceback" not in err
    assert not any(map(is_alive, workers.values()))
    assert {t.state for t in trainings(folder)} <= {TrialState.WAITING, TrialState.COMPLETE}, "they are put back"
    with searching(folder, grace=NEVER) as second:
        second.end()
    check_whole(folder, alone)


@pytest.mark.slow
def test_workers_that_are_stopped_for_longer_than_the_grace_time(folder: Path, alone: dict[str, float]) -> None:
    """First one, whose training the other one takes over, then that one."""
    with searching(folder) as search:
        first = search.until(lambda: in_the_middle(folder))
        digest, pid = first.user_attrs["digest"], search.pid_of(first)
        stop(pid, folder)
        second = search.until(lambda: in_the_middle(folder, digest=digest, worker=other(folder, first)))
        os.kill(pid, signal.SIGCONT)
        log = Path(os.readlink(f"/proc/{pid}/fd/1"))
        search.until(lambda: "was given to another worker" in log.read_text())
        stop(search.pid_of(second), folder)
        third = search.until(lambda: in_the_middle(folder, digest=digest, worker=first.user_attrs["worker"]))
        os.kill(search.pid_of(second), signal.SIGCONT)
        err = search.end()
    assert "lost" not in err, "both are there"
    check_whole(folder, alone, n_lost=2, lost=[first, second])
    (done,) = [t for t in trainings(folder) if t.number == third.number]
    assert done.state == TrialState.COMPLETE
    assert done.system_attrs["retry_history"] == [first.number, second.number]
    assert [t.count("was given to another worker") for t in worker_logs(folder).values()] == [1, 1]


def stop(pid: int, folder: Path) -> None:
    """Stop a process, outside of a write into the database."""
    os.kill(pid, signal.SIGSTOP)
    while is_locked(folder):
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
        os.kill(pid, signal.SIGSTOP)


def other(folder: Path, trial) -> str:
    """Return the name of the worker that does not train in a trial."""
    name, _, number = trial.user_attrs["worker"].rpartition("-")
    return f"{name}-{1 - int(number)}"


@pytest.mark.slow
def test_as_many_processes_as_trainings(tmp_path: Path) -> None:
    expected = search_alone(tmp_path, epochs=5)
    with searching(tmp_path, "--max-trials-per-worker", "1") as search:
        err = search.end()
    assert "lost" not in err
    check_whole(tmp_path, expected)
    from tests.executors.searches import training_log

    pids = [re.search(r"process (\d+) on", training_log(tmp_path, t))[1] for t in trainings(tmp_path)]
    assert len(set(pids)) == N_TRAININGS
