"""Searches whose trainings are shared by two processes: the same study, and an end in one line where one is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.core.progress import SilentProgress
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


# In the middle of a training, one of two processes has no memory left: which one, the width says.
GREEDY = """
import torch
import torch.distributed as dist
from torch import nn

class Net(nn.Module):
    def __init__(self, n, width, n_outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(n, width), nn.ReLU(), nn.Linear(width, n_outputs))
        self.greedy, self.n_steps = {7: 0, 9: 1}.get(width), 0

    def forward(self, x):
        self.n_steps += self.training
        if self.n_steps == 6 and dist.is_initialized() and dist.get_rank() == self.greedy:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 90.00 GiB.")
        return self.layers(x)

def net(input_shape, n_outputs, *, width: int):
    return Net(input_shape[0] * input_shape[1] * input_shape[2], width, n_outputs)
"""
OF_ALL = """
name = "greedy"
[search_space."greedy_nets:net"]
width = [5, 7, 9, 11]
[data]
name = "digits"
train_samples = 200
[score]
n_inputs = 8
seeds = 1
metrics = "none"
[search]
n_candidates = 4
[select]
rule = "lowest"
top_k = 4
control = 0
[train]
epochs = 3
batch_size = 50
seeds = 1
"""


class Told(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    def detail(self, text: str) -> None:
        self.texts.append(text)


def test_two_processes_come_to_the_study_of_one_and_what_does_not_fit_fails_alone(tmp_path, capfd):
    (tmp_path / "greedy_nets.py").write_text(GREEDY)
    (tmp_path / "greedy.toml").write_text(OF_ALL)
    alone, told = f"sqlite:///{tmp_path}/alone.db", Told()
    expected = ns.search(tmp_path / "greedy.toml", storage=alone, device="cpu")
    place = f"sqlite:///{tmp_path}/team.db"
    found = ns.search(tmp_path / "greedy.toml", storage=place, device="cpu", devices_per_training=2, progress=told)
    assert [t.status for t in expected.trials] == ["ok"] * 4
    losses = {t.digest: t.val_loss for t in found.trials if t.is_ok}
    assert losses == {t.digest: pytest.approx(t.val_loss, rel=1e-5) for t in expected.trials if t.digest in losses}
    failed = {json.loads(t.architecture)["width"]: t.status for t in found.trials if not t.is_ok}
    assert failed == dict.fromkeys((7, 9), "too large: training does not fit in memory")
    said = [text for text in told.texts if "memory" in text]
    assert len(said) == 2
    assert all("too large: training does not fit in memory" in text and "\n" not in text for text in said)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_what_torchrun_starts_comes_to_the_study_of_one(tmp_path):
    expected = search_alone(tmp_path, epochs=5)
    done = subprocess.run(command(tmp_path, module=TORCHRUN), capture_output=True, text=True, cwd=tmp_path)
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
