"""Searches whose trainings are shared by two processes: the same study, and an end in one line where one is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.executors.searches import LONG, NAME, declared, search_alone

TWO = ("--devices-per-training", "2")
TORCHRUN = ("torch.distributed.run", "--nproc-per-node", "2", "-m", "nas_sens")


def command(folder: Path, *arguments: str, module: Sequence[str] = ("nas_sens",)) -> list[str]:
    places = ["--storage", f"sqlite:///{folder}/team.db", "--device", "cpu", "-o", f"{folder}/report.html"]
    return [sys.executable, "-m", *module, "search", str(folder / f"{NAME}.toml"), *arguments, *places]


@pytest.fixture
def started(tmp_path):
    """A search by two processes, caught in the middle of a training."""
    declared(tmp_path, epochs=LONG * 100)
    with subprocess.Popen(command(tmp_path, *TWO), stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            yield process, member_of(process, tmp_path)
        finally:
            process.kill()


def member_of(process: subprocess.Popen[str], folder: Path) -> int:
    """Return the process that trains along, when it has begun to."""
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        if any(folder.rglob("checkpoints/*")):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return int(children[0])
        time.sleep(0.1)  # another process is waited for
    raise AssertionError(f"no training began: {process.communicate()}")


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]


@pytest.mark.parametrize("module", [("nas_sens",), pytest.param(TORCHRUN, marks=pytest.mark.slow)])
def test_two_processes_come_to_the_study_of_one(tmp_path, module):
    expected = search_alone(tmp_path, epochs=5)
    arguments = TWO if module == ("nas_sens",) else ()
    done = subprocess.run(command(tmp_path, *arguments, module=module), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    storage = StudyStorage(f"sqlite:///{tmp_path}/team.db", must_exist=True)
    found = {t.digest: t.val_loss for t in read_result(storage, NAME).trials}
    assert found == {digest: pytest.approx(loss, rel=1e-5) for digest, loss in expected.items()}


@pytest.mark.parametrize("how", ["killed", pytest.param("interrupted", marks=pytest.mark.slow)])
def test_nothing_is_left_of_a_team_that_loses_a_process(started, how):
    process, member = started
    if how == "killed":
        os.kill(member, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].strip().splitlines()[-1]
    if how == "killed":
        assert process.returncode == 1
        assert "a process of a training by several was lost: it ended with SIGKILL" in said
    else:
        assert process.returncode == 130
        assert said.startswith("interrupted; what was finished is kept")
    assert not is_there(member)


def test_a_trainer_of_ones_own_is_refused_in_one_line(tmp_path):
    with pytest.raises(ns.InvalidInputError, match=r"need the trainer of nas_sens, but \[train\] of study"):
        ns.search(declared(tmp_path), storage=f"sqlite:///{tmp_path}/a.db", train=print, devices_per_training=2)
    assert not list(tmp_path.glob("a.db*"))
