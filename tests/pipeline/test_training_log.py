"""The log of a training: its lines, their times, and where it is found again."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import optuna
import pytest

import nas_sens as ns
from nas_sens.pipeline.training_log import AT_MOST_EPOCHS, TrainingLog
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training import Outcome
from tests.tiny_study import tiny, url


def clock():
    ticks = itertools.count()
    return lambda: f"T{next(ticks)}"


def test_every_epoch_has_its_time_and_its_losses() -> None:
    log = TrainingLog(1, now=clock())
    log.begin("training 1 of 1")
    for _ in range(2):
        log.note_time()
    curves = {"train_loss": (0.9, 0.8, 0.7)}
    log.end("training 1 of 1", Outcome(curve=(3.0, 2.0, 1.5), curves=curves, seconds=1.25))
    assert log.text().splitlines()[1:] == [
        "T1 training 1 of 1: begins",
        "T4 training 1 of 1: went on from a checkpoint after epoch 1",
        "(before this process) training 1 of 1, epoch 1: val_loss 3, train_loss 0.9",
        "T2 training 1 of 1, epoch 2: val_loss 2, train_loss 0.8",
        "T3 training 1 of 1, epoch 3: val_loss 1.5, train_loss 0.7",
        "T5 training 1 of 1: ok, 3 epochs, 1.250 s",
    ]


@pytest.mark.parametrize(("n_trainings", "n_epochs"), [(1, 201), (3, 5_000), (150, 77)])
def test_a_long_training_has_a_short_log(n_trainings: int, n_epochs: int) -> None:
    log = TrainingLog(n_trainings)
    for i in range(n_trainings):
        log.begin(f"training {i}")
        for _ in range(n_epochs):
            log.note_time()
        log.end(f"training {i}", Outcome(curve=(1.0,) * n_epochs))
    epochs = re.findall(r"epoch (\d+):", log.text())
    assert len(epochs) <= AT_MOST_EPOCHS + 3 * n_trainings
    assert epochs.count("1") == epochs.count(str(n_epochs)) == n_trainings


def test_a_training_without_epochs_has_a_log() -> None:
    log = TrainingLog(1, now=clock())
    log.begin("a")
    log.end("a", Outcome(status="too large:\nno memory"))
    assert log.text().splitlines()[-1] == "T2 a: too large: no memory, 0 epochs, 0.000 s"


@pytest.mark.parametrize("learning_rate", [1e-3, 1e30])
def test_the_log_lies_with_the_training_whatever_came_of_it(tmp_path: Path, learning_rate: float) -> None:
    spec = tiny(train=ns.TrainSpec(epochs=3, seeds=2, learning_rate=learning_rate, optimizer="sgd"))
    result = ns.search(spec, storage=url(tmp_path), device="cpu")
    storage = StudyStorage(url(tmp_path))
    for trial in result.trials:
        storage.fetch_artifact("tiny", trial.number, "training.log", path := tmp_path / f"{trial.number}.log")
        text = path.read_text()
        assert trial.description in text
        for part in (" on cpu: ", "training 1 of 2 (seed ", trial.reason):
            assert part in text
        assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", line) for line in text.splitlines())
        if trial.is_ok:
            assert text.count(", epoch ") == 6
            assert f"val_loss {trial.val_loss:.4g}, val_error {trial.val_error:.4g}" in text.splitlines()[-1]
        else:
            assert "diverged" in text.splitlines()[-1]
    assert {t.is_ok for t in result.trials} == {learning_rate < 1}


def test_files_of_a_study_as_a_whole(tmp_path: Path) -> None:
    ns.search(tiny(), storage=url(tmp_path))
    storage = StudyStorage(url(tmp_path))
    (tmp_path / "log").write_text("a worker's\n")
    storage.attach("tiny", {"worker.log": tmp_path / "log"})
    study = optuna.load_study(study_name="tiny", storage=url(tmp_path))
    (meta,) = optuna.artifacts.get_all_artifact_meta(study)
    assert meta.filename == "worker.log"
    with storage.artifacts_of("tiny").store.open_reader(meta.artifact_id) as file:
        assert file.read() == b"a worker's\n"
