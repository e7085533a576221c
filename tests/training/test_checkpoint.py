"""A training that is killed goes on bit for bit, from a file that is whole or not there."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import nas_sens as ns
from nas_sens.core.errors import StorageError
from nas_sens.core.progress import SilentProgress
from nas_sens.results.search_result import read_result
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.checkpoint import Checkpoint

DROPOUT = ns.FCSpec(depth=2, width=12, dropout=0.3, batch_norm=True)
BASE = TrainSpec(epochs=6, batch_size=50)
SPECS = {
    "adam": BASE,
    "momentum": dataclasses.replace(
        BASE, optimizer="sgd", momentum=0.9, nesterov=True, learning_rate=0.1, schedule="cosine", warmup_epochs=2
    ),
    "rmsprop": dataclasses.replace(BASE, optimizer="rmsprop", augmentation=("translation", "flip")),
    "transforms": dataclasses.replace(BASE, transforms=({"name": "RandomErasing", "p": 0.5},)),
    "lbfgs": dataclasses.replace(BASE, optimizer="lbfgs", batch_size="full", learning_rate=1.0),
    "noisy": dataclasses.replace(BASE, epochs=4, label_noise=0.5, noisy_epochs=2, samples=120),
    "stop": dataclasses.replace(BASE, stop_loss=100.0, stop_epochs=5, metrics=("jacobian_norm",), metrics_every=1),
}


def at(path, **times):
    return Checkpoint(Artifacts(path.parent), path.name, **times)


class Killed(Exception):
    pass


class Told(SilentProgress):
    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


def killed_after(n):
    calls = []

    def on_epoch(curve):
        calls.append(1)
        if len(calls) == n:
            raise Killed

    return on_epoch


def plain(outcome):
    values = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    values["state"] = {k: v.tolist() for k, v in outcome.state.items()}
    return {k: v for k, v in values.items() if k != "seconds"}


@pytest.mark.parametrize("name", SPECS)
def test_a_killed_training_ends_like_an_undisturbed_one(digits, tmp_path, name, same_global_rng):
    spec = SPECS[name]
    whole = train(DROPOUT, digits, spec, seed=3)
    for n in (1, 2, 4):
        path = tmp_path / f"{n}.pt"
        with pytest.raises(Killed):
            train(DROPOUT, digits, spec, seed=3, on_epoch=killed_after(n), checkpoint=at(path, seconds=0))
        calls = []
        resumed = train(
            DROPOUT, digits, spec, seed=3, on_epoch=lambda _, c=calls: c.append(1), checkpoint=at(path, seconds=0)
        )
        assert plain(resumed) == plain(whole)
        assert len(calls) == len(whole.curve) - n


def test_a_killed_training_of_larger_images_ends_like_an_undisturbed_one(digits, tmp_path):
    parts = ("x_train", "x_val", "x_test")
    splits = dataclasses.replace(
        digits, **{k: getattr(digits, k).repeat_interleave(3, 2).repeat_interleave(3, 3) for k in parts}
    )
    network, spec = ns.CNNSpec(depth=2, channels=3), dataclasses.replace(BASE, epochs=3)
    whole = train(network, splits, spec, seed=3)
    with pytest.raises(Killed):
        train(network, splits, spec, seed=3, on_epoch=killed_after(1), checkpoint=at(tmp_path / "a", seconds=0))
    assert plain(train(network, splits, spec, seed=3, checkpoint=at(tmp_path / "a"))) == plain(whole)


def test_a_training_that_had_ended_is_not_done_again(digits, tmp_path):
    path = tmp_path / "sub" / "a.pt"
    first = train(DROPOUT, digits, BASE, seed=3, checkpoint=at(path, seconds=1e9, keeps_end=True))
    again = train(DROPOUT, digits, BASE, seed=3, on_epoch=killed_after(1), checkpoint=at(path))
    assert plain(again) == plain(first)
    at(path).remove()
    assert list(path.parent.iterdir()) == []


def test_time_between_states(digits, tmp_path):
    path = tmp_path / "a.pt"
    train(DROPOUT, digits, BASE, seed=3, checkpoint=at(path, seconds=1e9))
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"spec": dataclasses.replace(BASE, learning_rate=2e-3)},
        {"seed": 4},
        {"architecture": ns.FCSpec(depth=2, width=12, dropout=0.3)},
        {"splits": None},
    ],
)
def test_a_checkpoint_of_another_training_is_not_taken(digits, tmp_path, change):
    path = tmp_path / "a.pt"
    train(DROPOUT, digits, BASE, seed=3, checkpoint=at(path, seconds=0, keeps_end=True))
    other = dataclasses.replace(digits, x_train=digits.x_train + 0.01)
    given = {"architecture": DROPOUT, "splits": digits, "spec": BASE, "seed": 3, **change}
    given["splits"] = given["splits"] or other
    calls = []
    outcome = train(**given, on_epoch=lambda _: calls.append(1), checkpoint=at(path))
    assert len(calls) == len(outcome.curve) == 6
    assert plain(outcome) == plain(train(**given))


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "pickle"])
def test_a_damaged_file_is_as_none(digits, tmp_path, damage):
    path = tmp_path / "a.pt"
    train(DROPOUT, digits, BASE, seed=3, checkpoint=at(path, seconds=0, keeps_end=True))
    content = path.read_bytes()
    if damage == "pickle":  # that would run code if it were loaded as such
        torch.save({"identity": "x", "state": Path("a")}, path)
    else:
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"no checkpoint"}[damage])
    assert at(path).read(identity="x") is None
    assert len(train(DROPOUT, digits, BASE, seed=3, checkpoint=at(path)).curve) == 6


def test_where_no_file_can_be_written_training_goes_on(digits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    checkpoint = at(tmp_path / "file" / "a.pt", seconds=0)
    outcome = train(DROPOUT, digits, BASE, seed=3, checkpoint=checkpoint)
    assert plain(outcome) == plain(train(DROPOUT, digits, BASE, seed=3))
    assert checkpoint.problem
    assert "\n" not in checkpoint.problem


def test_nothing_half_written_is_left(digits, tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    path.write_bytes(b"earlier")

    def full(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    checkpoint = at(path, seconds=0)
    checkpoint.write({}, identity="x")
    assert "No space left on device" in checkpoint.problem
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    assert path.read_bytes() == b"earlier"


def test_a_state_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    def fails(content, file):
        raise RuntimeError("PytorchStreamWriter failed\nmore")

    checkpoint = at(tmp_path / "a.pt", seconds=0)
    checkpoint.write({"epoch": 1}, identity="x")
    monkeypatch.setattr("torch.save", fails)
    checkpoint.write({"epoch": 2}, identity="x")
    assert checkpoint.problem == "PytorchStreamWriter failed"
    assert checkpoint.read(identity="x") == {"epoch": 1}


def test_whether_there_is_a_checkpoint_is_not_guessed(digits):
    class Away:
        def get(self, name):
            raise StorageError("s3://away: no answer")

    with pytest.raises(StorageError, match="no answer"):
        train(DROPOUT, digits, BASE, seed=3, checkpoint=Checkpoint(Away(), "a.pt"))


def study(**train):
    return ns.StudySpec(
        name="tiny",
        search_space=ns.SearchSpace(name="tiny", families={"fc": {"depth": [1, 2], "width": 8, "dropout": 0.2}}),
        data=ns.DataSpec(name="digits", train_samples=100),
        score=ns.ScoreSpec(estimator="monte_carlo", n_inputs=16, seeds=2),
        search=ns.SearchSpec(n_candidates=2),
        select=ns.SelectSpec(rule="pareto", top_k=1, control=0),
        train=TrainSpec(**{"epochs": 4, "seeds": 2, "checkpoint_seconds": 0.0, **train}),
    )


def comparable(result):
    return [dataclasses.replace(t, seconds=None) for t in result.trials]


def test_a_killed_search_does_no_epoch_twice(tmp_path, monkeypatch):
    whole = ns.search(study(), storage=f"sqlite:///{tmp_path}/whole.db")
    assert not (tmp_path / "whole_artifacts" / "checkpoints").exists()
    epochs = []
    original = ns.training.training_run.TrainingRun.train_epoch

    def counted(self):
        epochs.append(self.n_done)
        if len(epochs) == 7:  # in the third epoch of the second seed
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr("nas_sens.training.training_run.TrainingRun.train_epoch", counted)
    with pytest.raises(KeyboardInterrupt):
        ns.search(study(), storage=f"sqlite:///{tmp_path}/a.db")
    assert len(list((tmp_path / "a_artifacts" / "checkpoints").iterdir())) == 2
    result = ns.search(study(), storage=f"sqlite:///{tmp_path}/a.db")
    assert epochs == [0, 1, 2, 3, 0, 1, 2, 2, 3]
    assert comparable(result) == comparable(whole)
    assert not (tmp_path / "a_artifacts" / "checkpoints").exists()


def test_what_a_killed_process_began_to_write_is_removed_with_the_checkpoint(tmp_path):
    checkpoint, other = (Checkpoint(Artifacts(tmp_path), f"checkpoints/{name}.pt") for name in "ab")
    checkpoint.write({"epoch": 1}, identity="i")
    begun = tmp_path / "checkpoints" / "a.pt.123.part"
    begun.write_bytes(b"half")
    other.remove()
    assert begun.exists()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_pytorch_says_of_a_full_disk_is_its_cause():
    class Full:
        def put(self, name, write_into):
            with open("/dev/full", "wb", buffering=0) as file:
                write_into(file)

    checkpoint = Checkpoint(Full(), "a.pt")
    checkpoint.write({"a": torch.zeros(100_000)}, identity="x")
    assert "No space left" in checkpoint.problem


@pytest.mark.slow
def test_a_search_that_is_shot_goes_on(tmp_path):
    spec = "tests.training.test_checkpoint.study(epochs=600, seeds=1)"
    code = f"import sys, nas_sens as ns, tests.training.test_checkpoint; ns.search({spec}, storage=sys.argv[1])"
    run = [sys.executable, "-c", code]
    folder = Path(__file__).parents[2]
    process = subprocess.Popen([*run, f"sqlite:///{tmp_path}/a.db"], cwd=folder)
    checkpoints = tmp_path / "a_artifacts" / "checkpoints"
    deadline = time.monotonic() + 120
    while not (checkpoints.is_dir() and any(checkpoints.glob("*.pt"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert any(checkpoints.glob("*.pt"))
    state = torch.load(next(checkpoints.glob("*.pt")), weights_only=True)["state"]
    assert 0 < len(state["curves"]["val_loss"]) < 600
    results = []
    for name in ("a", "b"):
        subprocess.run([*run, f"sqlite:///{tmp_path}/{name}.db"], cwd=folder, check=True)
        results.append(read_result(StudyStorage(f"sqlite:///{tmp_path}/{name}.db"), "tiny"))
    assert comparable(results[0]) == comparable(results[1])
    assert not checkpoints.exists()


def flipped(content, rng):
    i = int(rng.integers(len(content)))
    return content[:i] + bytes([content[i] ^ (1 << int(rng.integers(8)))]) + content[i + 1 :]


def zeroed(content, rng):
    i, n = int(rng.integers(len(content))), int(rng.integers(1, 512))
    return content[:i] + bytes(len(content[i : i + n])) + content[i + n :]


def swapped(content, rng):
    n = int(rng.integers(1, 256))
    i = int(rng.integers(len(content) - 2 * n))
    j = int(rng.integers(i + n, len(content) - n + 1))
    return content[:i] + content[j : j + n] + content[i + n : j] + content[i : i + n] + content[j + n :]


def shortened(content, rng):
    return content[: int(rng.integers(len(content)))]


def lengthened(content, rng):
    return content + rng.bytes(int(rng.integers(1, 100)))


def repeated(content, rng):
    i, n = int(rng.integers(len(content))), int(rng.integers(1, 512))
    return content[:i] + content[i : i + n] + content[i:]


@pytest.mark.parametrize("damage", [flipped, zeroed, swapped, shortened, lengthened, repeated])
def test_no_damaged_file_is_read(tmp_path, damage):
    path, generator = tmp_path / "a.pt", torch.Generator().manual_seed(0)
    state = {"model": {"w": torch.randn(200, generator=generator)}, "optimizer": {0: {"step": 3.0}}, "n": 7}
    at(path).write(state, identity="i")
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    assert at(path).read(identity="i")["n"] == 7
    n_damaged = 0
    while n_damaged < 100:
        if (content := damage(whole, rng)) == whole:
            continue
        n_damaged += 1
        path.write_bytes(content)
        checkpoint = at(path)
        assert checkpoint.read(identity="i") is None
        assert checkpoint.unused
        assert "\n" not in checkpoint.unused


def test_an_intact_file_of_something_else_is_not_used(tmp_path):
    path = tmp_path / "a.pt"
    at(path).write({"n": 7}, identity="other")
    checkpoint = at(path)
    assert checkpoint.read(identity="i") is None
    assert "of other data" in checkpoint.unused
    at(path).remove()
    assert checkpoint.read(identity="i") is None


def test_a_training_that_begins_anew_says_so(tmp_path, monkeypatch):
    whole = ns.search(study(), storage=f"sqlite:///{tmp_path}/whole.db")
    killed = []
    original = ns.training.training_run.TrainingRun.train_epoch

    def train_epoch(self):
        killed.append(self.n_done)
        if len(killed) == 3:
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr("nas_sens.training.training_run.TrainingRun.train_epoch", train_epoch)
    with pytest.raises(KeyboardInterrupt):
        ns.search(study(), storage=f"sqlite:///{tmp_path}/a.db")
    (path,) = (tmp_path / "a_artifacts" / "checkpoints").iterdir()
    path.write_bytes(flipped(path.read_bytes(), np.random.default_rng(1)))
    told = Told()
    result = ns.search(study(), storage=f"sqlite:///{tmp_path}/a.db", progress=told)
    assert killed[3:] == [0, 1, 2, 3, 0, 1, 2, 3]
    (line,) = [text for text in told.texts if "checkpoint" in text]
    assert "trained anew" in line
    assert "damaged" in line
    assert comparable(result) == comparable(whole)
