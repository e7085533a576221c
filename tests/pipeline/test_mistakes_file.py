"""A study keeps what its networks take for what, and its report shows it without data or PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.core.mistakes import FILENAME, Mistakes
from nas_sens.pipeline.mistakes_file import mistakes_file
from nas_sens.results.mistakes import read_mistakes
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training import Outcome
from tests.tiny_study import tiny, url


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_mistakes_are_those_that_the_validation_error_counts(tmp_path, monkeypatch, loss):
    monkeypatch.chdir(tmp_path)
    address = url(tmp_path)
    spec = tiny(train=ns.TrainSpec(epochs=2, seeds=1, loss=loss))
    ns.search(spec, storage=address)
    storage = StudyStorage(address, must_exist=True)
    result = read_result(storage, spec.name)
    found = read_mistakes(storage, result)
    assert isinstance(found, Mistakes)
    assert found.n_wrong / found.n_inputs == pytest.approx(result.best.val_error)
    assert len(found.confusion) == 10
    assert found.n_inputs == len(ns.load_data(spec.data).y_val)
    assert found.most_certain[0].picture
    if loss == "mse":
        return
    page = reported(spec.name, address)
    assert f"{found.n_wrong} are taken for another class" in page
    assert found.most_certain[0].picture in page
    artifacts = storage.artifacts_of(spec.name).folder
    assert artifacts is not None
    for path in artifacts.iterdir():
        if path.read_bytes().startswith(b'{"confusion"'):
            path.unlink()
    assert f"the artifact '{FILENAME}' of training trial" in read_mistakes(storage, result)
    assert "Not known: the artifact" in reported(spec.name, address)


def reported(name: str, address: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["report", name, "--storage", address, "-o", "a.html"])
    assert exit_.value.code == 0
    return Path("a.html").read_text(encoding="utf-8")


def test_a_regression_has_none(tmp_path):
    ns.search(tiny(data=ns.DataSpec(name="diabetes", train_samples=60)), storage=url(tmp_path))
    storage = StudyStorage(url(tmp_path), must_exist=True)
    assert read_mistakes(storage, read_result(storage, "tiny")) == ""


def test_a_network_that_cannot_be_loaded_again_is_kept_without_and_its_log_says_so(tmp_path):
    said: list[str] = []
    spec = tiny()
    assert mistakes_file(tmp_path, Outcome(), spec=spec, splits=ns.load_data(spec.data), say=said.append) == {}
    [line] = said
    assert line.startswith(f"{FILENAME} is not kept: ")
    assert "has no config.json" in line
