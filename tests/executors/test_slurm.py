"""Searches whose workers are jobs of a real SLURM cluster: preempted, queued again, killed and interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.executors.searches import (
    check_whole,
    in_the_middle,
    search_alone,
    searching,
    trainings,
    went_on_after,
    worker_logs,
)
from tests.executors.slurm_cluster import KILL_WAIT, Cluster, slurm

pytestmark = pytest.mark.slow
NEVER = 3600  # seconds of grace: whoever waits for them does not end in time
ENGINE = ("--engine", "slurm", "--", "--partition=debug")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("submitit", reason="needs the extra nas-sens[slurm]")
    with slurm() as cluster:
        yield cluster


def job_of(cluster: Cluster, folder: Path, trial: FrozenTrial) -> str:
    """Return the job whose worker trains in a trial."""
    return cluster.jobs(folder)[int(trial.user_attrs["worker"].rpartition("-")[2])]


def test_jobs_train_each_candidate_once(cluster: Cluster, tmp_path: Path) -> None:
    expected = search_alone(tmp_path, epochs=5)
    with searching(tmp_path, *ENGINE, **cluster.environment) as search:
        err = search.end()
    assert "lost" not in err
    check_whole(tmp_path, expected)
    assert len(worker_logs(tmp_path)) == 2
    assert not list(tmp_path.glob("nas_sens_workers_*")), "what was written for the jobs is gone"


def test_a_job_that_is_pre_empted(cluster: Cluster, folder: Path, alone: dict[str, float]) -> None:
    """It gives back its training, and is queued again."""
    with searching(folder, *ENGINE, grace=NEVER, **cluster.environment) as search:
        caught = search.until(lambda: in_the_middle(folder))
        job = job_of(cluster, folder, caught)
        cluster.run("scancel", "--signal=USR2", job)
        search.until(lambda: "Restarts=1" in cluster.run("scontrol", "show", "job", job))
        err = search.end()
    assert "lost" not in err
    check_whole(folder, alone)
    (went_on,) = [t for t in trainings(folder) if t.number == caught.number]
    assert went_on_after(folder, went_on)


def test_a_job_that_is_queued_again(cluster: Cluster, folder: Path, alone: dict[str, float]) -> None:
    """By somebody, without submitit's signal."""
    with searching(folder, *ENGINE, grace=NEVER, **cluster.environment) as search:
        caught = search.until(lambda: in_the_middle(folder))
        job = job_of(cluster, folder, caught)
        cluster.run("scontrol", "requeue", job)
        search.until(lambda: "Restarts=1" in cluster.run("scontrol", "show", "job", job))
        err = search.end()
    assert "lost" not in err
    check_whole(folder, alone)
    (went_on,) = [t for t in trainings(folder) if t.number == caught.number]
    assert went_on_after(folder, went_on)


def test_a_job_that_is_killed(cluster: Cluster, folder: Path, alone: dict[str, float]) -> None:
    with searching(folder, *ENGINE, grace=NEVER, **cluster.environment) as search:
        caught = search.until(lambda: in_the_middle(folder))
        os.kill(cluster.process(job_of(cluster, folder, caught)), signal.SIGKILL)
        err = search.end()
    assert f"worker {caught.user_attrs['worker']} was lost; 1 trainings go to others" in err
    check_whole(folder, alone, n_lost=1, lost=[caught])


def test_an_interrupt(cluster: Cluster, folder: Path, alone: dict[str, float]) -> None:
    with searching(folder, *ENGINE, grace=NEVER, **cluster.environment) as first:
        first.until(lambda: in_the_middle(folder))
        first.process.send_signal(signal.SIGINT)
        err = first.end(130, KILL_WAIT)
    assert "lost" not in err
    assert cluster.jobs(folder) == []
    assert {t.state for t in trainings(folder)} <= {TrialState.WAITING, TrialState.COMPLETE}, "they are put back"
    with searching(folder, grace=NEVER) as second:
        second.end()
    check_whole(folder, alone)
