"""Searches whose workers are actors of a Ray cluster of three nodes, one of which is lost."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.databases.servers import free_port
from tests.executors.searches import (
    ROOT,
    check_whole,
    in_the_middle,
    search_alone,
    searching,
    trainings,
    wait_for,
    went_on_after,
    worker_logs,
)

pytestmark = pytest.mark.slow
NEVER = 3600  # seconds of grace: whoever waits for them does not end in time
N_NODES = 3


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A head without a core, and nodes of one each."""
    pytest.importorskip("ray", reason="needs the extra nas-sens[ray]")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)  # where nodes are started is not where the search is
    short = tempfile.TemporaryDirectory(prefix="ray_", dir="/tmp", ignore_cleanup_errors=True)  # of sockets
    monkeypatch.setenv("RAY_TMPDIR", short.name)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.nodes = [cluster.add_node(num_cpus=1) for _ in range(N_NODES)]
    with short:
        yield cluster
        cluster.shutdown()


def test_actors_train_each_candidate_once(cluster: Any, tmp_path: Path) -> None:
    expected = search_alone(tmp_path, epochs=5)
    with searching(tmp_path, "--engine", "ray", workers=N_NODES, RAY_ADDRESS=cluster.address) as search:
        err = search.end()
    assert "lost" not in err
    check_whole(tmp_path, expected)
    assert len(worker_logs(tmp_path)) == N_NODES
    (copies,) = tmp_path.glob("temporary/nas_sens_data_*")
    wait_for(lambda: not list(copies.iterdir()), 30)  # the last one removes the copy of the data


@pytest.mark.parametrize("spare", [False, True])
def test_a_node_that_is_lost(cluster: Any, folder: Path, alone: dict[str, float], spare: bool) -> None:
    """Its training goes to another one, and its worker to a further node if there is one."""
    with searching(folder, "--engine", "ray", workers=N_NODES, RAY_ADDRESS=cluster.address) as search:
        search.until(lambda: in_the_middle(folder) and running(folder) == N_NODES)
        if spare:
            cluster.add_node(num_cpus=1)
        cluster.remove_node(cluster.nodes[0], allow_graceful=False)
        lost = search.until(lambda: [t for t in trainings(folder) if t.state == TrialState.FAIL])
        err = search.end()
    assert len(lost) == 1
    assert err.count(" was lost") <= 1, "Ray starts it again, or says that it does not reach it"
    check_whole(folder, alone, n_lost=1, lost=lost)
    (again,) = [t for t in trainings(folder) if t.system_attrs.get("failed_trial") == lost[0].number]
    assert went_on_after(folder, again)
    assert len(worker_logs(folder)) == N_NODES, "all have ended by themselves"


def running(folder: Path) -> int:
    return sum(t.state == TrialState.RUNNING and bool(t.intermediate_values) for t in trainings(folder))


def test_an_interrupt(cluster: Any, folder: Path, alone: dict[str, float]) -> None:
    """One of the workers is still waiting for a node."""
    import signal

    how = {"workers": N_NODES + 1, "grace": NEVER}
    with searching(folder, "--engine", "ray", RAY_ADDRESS=cluster.address, **how) as first:
        first.until(lambda: in_the_middle(folder) and running(folder) == N_NODES)
        first.process.send_signal(signal.SIGINT)
        err = first.end(130, 60)
    assert "lost" not in err
    assert {t.state for t in trainings(folder)} <= {TrialState.WAITING, TrialState.COMPLETE}, "they are put back"
    with searching(folder, grace=NEVER) as second:
        second.end()
    check_whole(folder, alone)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:{port}", "no.such.host:6379"])
def test_where_there_is_no_cluster_it_is_one_line(folder: Path, address: str) -> None:
    pytest.importorskip("ray", reason="needs the extra nas-sens[ray]")
    given = address.format(port=free_port())
    with searching(folder, "--engine", "ray", RAY_ADDRESS=given) as search:
        err = search.end(2, 120)
    lines = [line for line in err.splitlines() if not re.match(r"(score|train): ", line)]
    assert len(lines) == 1, err
    assert re.match("nas-sens: error: the engine 'ray' needs a cluster, and none was found; start one", lines[0])
    assert socket.gethostname() not in err
