"""``ns.export``: a training without a study becomes the same folder; ONNX in 8 bits says what it loses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import nas_sens as ns
from nas_sens.models.int8 import INT8, in_words, write_int8
from nas_sens.models.onnx_file import ONNX, write_onnx
from tests.cli.test_cli import run
from tests.tiny_study import tiny, url

SPEC = ns.CNNSpec(depth=1, channels=6, padding=1, max_pool=True, init="he_normal")
DATA = ns.DataSpec(name="digits", standardize=True, unit_norm=True, train_samples=300)
TRAIN = ns.TrainSpec(epochs=3, learning_rate=0.01)


@pytest.fixture(scope="module")
def trained() -> tuple[ns.Outcome, ns.Splits]:
    splits = ns.load_data(DATA)
    return ns.train(SPEC, splits, TRAIN, seed=3), splits


def test_a_training_without_a_study_is_exported(tmp_path: Path, trained: tuple[ns.Outcome, ns.Splits]) -> None:
    outcome, splits = trained
    folder = ns.export(
        outcome, tmp_path / "net", architecture=SPEC, data=splits, data_spec=DATA, train_spec=TRAIN, licence="mit"
    )
    raw = ns.load_data(ns.DataSpec(name="digits", train_samples=300))
    config = json.loads((folder / "config.json").read_text())
    mean, std = (torch.tensor(config["pretrained_cfg"][key]).view(-1, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        wrong = (ns.load_model(folder)((raw.x_test - mean) / std).argmax(1) != raw.y_test).double().mean()
    assert float(wrong) == outcome.test_error
    assert config["nas_sens"]["figures"]["val_error"] == outcome.val_error
    card = (folder / "README.md").read_text(encoding="utf-8")
    for text in ("license: mit", "Trained on `digits`", "Of one training.", f"{outcome.test_error:.4g}", '"epochs": 3'):
        assert text in card
    assert "Chosen by" not in card


def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path, trained: tuple[ns.Outcome, ns.Splits]) -> None:
    outcome, splits = trained
    with pytest.raises(ns.InvalidInputError, match="diverged"):
        ns.export(replace(outcome, status="diverged"), tmp_path / "net", architecture=SPEC, data=splits)
    with pytest.raises(ns.InvalidInputError, match="of another network"):
        ns.export(outcome, tmp_path / "net", architecture=ns.FCSpec(depth=1, width=3), data=splits)
    assert not (tmp_path / "net").exists()


def test_8_bits_are_measured_on_the_data(tmp_path: Path, trained: tuple[ns.Outcome, ns.Splits]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    outcome, splits = trained
    model = SPEC.build(splits.input_shape, splits.n_outputs)
    model.load_state_dict(outcome.state)
    write_onnx(tmp_path, model.eval(), splits.input_shape, {})
    errors = write_int8(tmp_path, splits)
    assert errors["val_error"] == pytest.approx(outcome.val_error)
    assert errors["test_error"] == pytest.approx(outcome.test_error)
    session = onnxruntime.InferenceSession(str(tmp_path / INT8))
    found = session.run(None, {"input": splits.x_test.numpy()})[0]
    assert errors["test_error_int8"] == pytest.approx(float((found.argmax(1) != splits.y_test.numpy()).mean()))
    plain = onnxruntime.InferenceSession(str(tmp_path / ONNX)).run(None, {"input": splits.x_test.numpy()})[0]
    assert 0 < np.abs(found - plain).max() < 0.3 * np.abs(plain).max()
    assert f"test error {errors['test_error']:.4g} → {errors['test_error_int8']:.4g}" in in_words(errors)
    with pytest.raises(ns.InvalidInputError, match="leave --int8 out"):
        write_int8(tmp_path, replace(splits, task="other"))


def test_8_bits_of_a_study_need_its_data(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).random((80, 4)), y=np.arange(80) % 2)
    spec = tiny(data=ns.DataSpec(name=f"npz:{tmp_path / 'd.npz'}"), search=ns.SearchSpec(n_candidates=2))
    ns.search(spec, storage=url(tmp_path), device="cpu")
    (tmp_path / "d.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(ns.InvalidInputError, match=r"d\.npz"):
        ns.export_model(url(tmp_path), "tiny", tmp_path / "net", int8=True)
    assert not (tmp_path / "net").exists()
    place, told = f"npz:{tmp_path / 'moved.npz'}", []
    ns.export_model(url(tmp_path), "tiny", tmp_path / "net", int8=True, data=place, on_int8=told.append)
    assert told[0].startswith("in 8 bits: validation error")
    assert (tmp_path / "net" / INT8).is_file()
    np.savez(tmp_path / "moved.npz", x=np.random.default_rng(1).random((80, 4)), y=np.arange(80) % 2)
    with pytest.raises(ns.InvalidInputError, match="changed: fingerprint"):
        ns.export_model(url(tmp_path), "tiny", tmp_path / "new", int8=True, data=place)
    done = run(tmp_path, "export", "tiny", "--data", place, "-o", "new", OPTUNA_STORAGE=url(tmp_path))
    assert (done.returncode, "--data needs --int8" in done.stderr) == (2, True)
