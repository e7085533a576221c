"""Every engine starts workers, says how they ended, and stops them; a new file in the folder meets this unasked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nas_sens.core.errors import InvalidInputError, WorkerError
from nas_sens.executors.base import EXECUTORS, Ended, Engine, EngineOptions, Task
from nas_sens.executors.slurm import Slurm, sbatch_parameters
from nas_sens.executors.supervisor import supervise

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("local", "ray", "slurm")  # in processes of their own


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster on this machine."""
    ray = pytest.importorskip("ray", reason="needs the extra nas-sens[ray]")
    ray.init(
        num_cpus=4, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def open_engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Engine]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # workers import what tests tell them to do

    def open_(name: str) -> Engine:
        if name == "slurm":  # submitit's executor on this machine, which keeps SLURM's protocol
            submitit = pytest.importorskip("submitit", reason="needs the extra nas-sens[slurm]")
            executor = submitit.LocalExecutor(tmp_path / "slurm")
            executor.update_parameters(timeout_min=5)
            return Slurm(executor)
        if name == "ray":
            request.getfixturevalue("cluster")
        return EXECUTORS.get(name).open(EngineOptions(folder=tmp_path))

    return open_


def engines(names: tuple[str, ...]) -> list[Any]:
    """Names as parameters; what starts more than a process is slow."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in ("ray", "slurm") else n for n in names]


def tasks(target: str, folder: Path, n: int = 1) -> list[Task]:
    return [
        Task(
            target=f"tests.executors.targets:{target}", worker=f"w{i}", device=f"cuda:{i}", n_threads=1,
            arguments={"folder": str(folder)}, log=folder / f"w{i}.log",
        )
        for i in range(n)
    ]  # fmt: skip


def run(engine: Engine, todo: list[Task], **options: Any) -> list[str]:
    """Supervise tasks, and return how they ended."""
    found: list[str] = []
    supervise(
        engine, todo, on_ended=lambda t, e: found.append(e.how), on_poll=lambda: None, poll_seconds=0.05, **options
    )
    return found


def noted(folder: Path, worker: str = "w0") -> list[str]:
    path = folder / f"{worker}.txt"
    return path.read_text().splitlines() if path.exists() else []


def test_engines_are_found_by_looking() -> None:
    assert set(EXECUTORS.table()) == {"in_process", *ELSEWHERE}
    with pytest.raises(InvalidInputError, match="slurm"):
        EXECUTORS.get("slurn")


@pytest.mark.parametrize("name", engines(("in_process", *ELSEWHERE)))
def test_workers_are_told_who_they_are(open_engine: Callable[[str], Engine], tmp_path: Path, name: str) -> None:
    assert run(open_engine(name), tasks("finish", tmp_path, 2)) == ["done"] * 2
    for i in range(2):
        device, n_threads, _ = noted(tmp_path, f"w{i}")[0].split()
        assert (device, n_threads) == (f"cuda:{i}", "1")


def test_a_local_worker_has_its_share_of_the_cores_before_pytorch_is_imported(
    open_engine: Callable[[str], Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run(open_engine("local"), tasks("finish", tmp_path))
    assert noted(tmp_path) == ["cuda:0 1 1"]


@pytest.mark.parametrize("name", engines(("in_process", *ELSEWHERE)))
def test_who_ends_before_all_is_done_is_started_again(
    open_engine: Callable[[str], Engine], tmp_path: Path, name: str
) -> None:
    assert run(open_engine(name), tasks("ask_for_more", tmp_path)) == ["more", "more", "done"]
    processes = set(noted(tmp_path))
    assert len(processes) == (1 if name == "in_process" else 3), "memory is given back by a new process"


@pytest.mark.parametrize("name", engines(("in_process", *ELSEWHERE)))
def test_wrong_input_is_said_and_not_tried_again(
    open_engine: Callable[[str], Engine], tmp_path: Path, name: str
) -> None:
    with pytest.raises(InvalidInputError, match="the colour must be blue; given 'red'; paint it"):
        run(open_engine(name), tasks("refuse", tmp_path))
    assert noted(tmp_path) == ["refused"]


@pytest.mark.parametrize("name", engines(ELSEWHERE))
def test_who_is_killed_is_started_again(open_engine: Callable[[str], Engine], tmp_path: Path, name: str) -> None:
    found = run(open_engine(name), tasks("die_twice", tmp_path))
    assert noted(tmp_path) == ["begun"] * 3
    assert found == (["done"] if name == "ray" else ["lost", "lost", "done"]), "Ray itself starts actors again"


@pytest.mark.parametrize("name", engines(("local", "slurm")))
def test_who_is_killed_always_is_given_up(open_engine: Callable[[str], Engine], tmp_path: Path, name: str) -> None:
    with pytest.raises(WorkerError, match="all 1 workers were lost 3 times"):
        run(open_engine(name), tasks("die", tmp_path), max_restarts=2)
    assert noted(tmp_path) == ["begun"] * 3


@pytest.mark.parametrize("name", engines(ELSEWHERE))
def test_who_is_stopped_gives_back_what_it_has(open_engine: Callable[[str], Engine], tmp_path: Path, name: str) -> None:
    class Enough(Exception):
        pass

    def stop() -> None:
        if all(noted(tmp_path, f"w{i}") for i in range(2)):
            raise Enough

    ended: list[Ended] = []
    with pytest.raises(Enough):
        supervise(
            open_engine(name), tasks("wait", tmp_path, 2), on_ended=lambda t, e: ended.append(e), on_poll=stop,
            poll_seconds=0.05,
        )  # fmt: skip
    assert len(ended) == 2
    end = time.monotonic() + 20
    while time.monotonic() < end and any(len(noted(tmp_path, f"w{i}")) < 2 for i in range(2)):
        time.sleep(0.05)
    assert [noted(tmp_path, f"w{i}") for i in range(2)] == [["begun", "given back"]] * 2


def test_workers_end_with_who_started_them(open_engine: Callable[[str], Engine], tmp_path: Path) -> None:
    """A parent that is killed leaves no workers behind."""
    code = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
    code += "from tests.executors.test_engines import *; folder = Path(sys.argv[2]); "
    code += "engine = EXECUTORS.get('local').open(EngineOptions()); worker = engine.start(tasks('wait', folder)[0]); "
    code += "\nwhile not noted(folder): time.sleep(0.05)\nos._exit(9)"

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code, str(ROOT), str(tmp_path)], env=environment).returncode == 9
    end = time.monotonic() + 20
    while time.monotonic() < end and len(noted(tmp_path)) < 2:
        time.sleep(0.05)
    assert noted(tmp_path) == ["begun", "given back"]


def test_arguments_for_sbatch() -> None:
    found = sbatch_parameters(["--partition=gpu", "--exclusive", "--mail-user=a=b"])
    assert found == {"partition": "gpu", "exclusive": True, "mail_user": "a=b"}
    for wrong in ("partition=gpu", "--", "-p"):
        with pytest.raises(InvalidInputError, match="--partition=gpu"):
            sbatch_parameters([wrong])


def test_an_engine_that_is_not_there_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # where no sbatch is
    with pytest.raises(InvalidInputError, match="slurm"):
        EXECUTORS.get("slurm").open(EngineOptions(folder=tmp_path))
    with pytest.raises(InvalidInputError, match="ray"):
        EXECUTORS.get("ray").open(EngineOptions(folder=tmp_path, extra=("--partition=gpu",)))
