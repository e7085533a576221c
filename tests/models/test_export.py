"""Exports load where and how they are said to, in a fresh process, and broken ones say what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nas_sens as ns
from nas_sens.models import model_folder, onnx_file, trained
from nas_sens.models.card import render_card

SPECS = [
    ns.FCSpec(depth=2, width=7, batch_norm=True, init="he_normal"),
    ns.CNNSpec(depth=2, channels=3, padding=1, max_pool=True, hidden_units=5, dropout=0.1, batch_norm=True),
    ns.CNNSpec(depth=1, channels=2),
]


def write(folder: Path, spec: ns.ArchitectureSpec, shape: tuple[int, ...] = (1, 8, 8)) -> torch.nn.Module:
    model = spec.build(shape, 4, generator=torch.Generator().manual_seed(0))
    model.train()(torch.rand(16, *shape, generator=torch.Generator().manual_seed(1)))  # moves running statistics
    folder.mkdir()
    config = model_folder.model_config(spec, input_shape=shape, n_outputs=4, provenance={"note": "test"})
    model_folder.write_model(folder, config, model.state_dict())
    return model.eval()


def test_exports_give_the_same_outputs_in_a_fresh_process(tmp_path: Path) -> None:
    models = [write(tmp_path / f"net{i}", spec) for i, spec in enumerate(SPECS)]
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.save(x, tmp_path / "x.pt")
    code = """
import sys, json, torch, timm, nas_sens
x, found = torch.load("x.pt", weights_only=True), []
for net in sys.argv[1:]:
    with torch.no_grad():
        ours = nas_sens.load_model(net)(x)
        model = timm.create_model("local-dir:" + net, pretrained=True).eval()
        timms = model(x)
        other = timm.create_model("local-dir:" + net, pretrained=True, num_classes=7).eval()(x)
    found.append([ours.tolist(), timms.tolist(), list(other.shape), model.num_classes])
print(json.dumps(found))
"""
    nets = [f"net{i}" for i in range(len(models))]
    run = subprocess.run([sys.executable, "-c", code, *nets], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.strip().splitlines()[-1])
    for model, (ours, timms, shape, n_classes) in zip(models, found, strict=True):
        with torch.no_grad():
            expected = model(x)
        assert torch.equal(torch.tensor(ours), expected)
        assert torch.equal(torch.tensor(timms), expected)
        assert shape == [3, 7]
        assert n_classes == 4
    assert "warn" not in run.stderr.lower()


def test_config_says_what_inputs_the_network_expects(tmp_path: Path) -> None:
    config = model_folder.model_config(
        SPECS[2], input_shape=(3, 8, 8), n_outputs=4, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), provenance={}
    )
    assert config["pretrained_cfg"]["mean"] == [0.1, 0.2, 0.3]
    assert config["pretrained_cfg"]["std"] == [1.0, 2.0, 3.0]
    assert config["pretrained_cfg"]["input_size"] == [3, 8, 8]
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize("name", [model_folder.CONFIG, model_folder.WEIGHTS])
def test_missing_and_corrupt_files_are_one_line(tmp_path: Path, name: str) -> None:
    write(tmp_path / "net", SPECS[0])
    content = (tmp_path / "net" / name).read_bytes()
    (tmp_path / "net" / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ns.InvalidInputError, match="cannot be used") as error:
        ns.load_model(tmp_path / "net")
    assert "\n" not in str(error.value)
    (tmp_path / "net" / name).unlink()
    with pytest.raises(ns.InvalidInputError, match=f"has no {name}"):
        ns.load_model(tmp_path / "net")


def test_publishing_is_all_or_nothing(tmp_path: Path) -> None:
    write(tmp_path / "net", SPECS[0])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    with pytest.raises(ns.InvalidInputError, match="new or empty"):
        model_folder.publish(tmp_path / "net", tmp_path / "full")
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]
    with pytest.raises(ns.InvalidInputError, match="new or empty"):
        model_folder.check_destination(Path("/"))
    (tmp_path / "empty").mkdir()
    for destination in (tmp_path / "empty", tmp_path / "deep" / "er"):
        model_folder.publish(tmp_path / "net", destination)
        assert sorted(p.name for p in destination.iterdir()) == [model_folder.CONFIG, model_folder.WEIGHTS]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".nas-sens")]


def complete(folder: Path, spec: ns.ArchitectureSpec, **options: object) -> torch.nn.Module:
    model = write(folder, spec)
    trained.complete(folder, **options)
    return model


def test_the_program_loads_where_nas_sens_is_not_installed(tmp_path: Path) -> None:
    model = complete(tmp_path / "net", SPECS[1])
    code = """
import sys, json
sys.modules["nas_sens"] = None  # as if it were not installed
import torch
program = torch.export.load("net/model.pt2").module()
with torch.no_grad():
    print(json.dumps([program(torch.full((n, 1, 8, 8), 0.5)).tolist() for n in (1, 5)]))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    with torch.no_grad():
        expected = model(torch.full((1, 1, 8, 8), 0.5))
    one, five = json.loads(run.stdout.strip().splitlines()[-1])
    torch.testing.assert_close(torch.tensor(one), expected)
    torch.testing.assert_close(torch.tensor(five), expected.expand(5, -1))


def test_an_exported_architecture_is_trained_anew_on_other_data(tmp_path: Path) -> None:
    write(tmp_path / "net", SPECS[0])
    spec = ns.load_spec(tmp_path / "net")
    assert spec == ns.load_spec(str(tmp_path / "net")) == SPECS[0]
    data = ns.load_data(ns.DataSpec(name="diabetes"))
    fc = ns.FCSpec(depth=1, width=8, init="he_normal")
    for architecture, splits in ((fc, data), (spec, ns.load_data(ns.DataSpec(name="digits")))):
        outcome = ns.train(architecture, splits, ns.TrainSpec(epochs=2), seed=0)
        model = architecture.build(splits.input_shape, splits.n_outputs)
        model.load_state_dict(outcome.state)
        if splits.task == "classification":
            with torch.no_grad():
                wrong = (model.eval()(splits.x_test).argmax(1) != splits.y_test).double().mean()
            assert float(wrong) == outcome.test_error
    with pytest.raises(ns.InvalidInputError, match="a folder that nas_sens exported"):
        ns.load_spec(tmp_path / "nothing")


def test_the_snippets_of_the_model_card_run(tmp_path: Path) -> None:
    model = complete(tmp_path / "net", SPECS[0], licence="cc-by-4.0")
    card = (tmp_path / "net" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    snippets = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(snippets) == 3
    with torch.no_grad():
        expected = model(torch.full((2, 1, 8, 8), 0.5))
    snippets.sort(key=lambda snippet: "nas_sens" in snippet)  # first the one that does without
    assert ["nas_sens" in snippet for snippet in snippets] == [False, True, True]
    code = """
import sys, torch, json
for snippet in sys.argv[1:]:
    names = {}
    exec(snippet, names)
    print(json.dumps([names["model"](torch.full((2, 1, 8, 8), 0.5)).tolist(), "nas_sens" in sys.modules]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, *snippets], cwd=tmp_path / "net", capture_output=True, text=True, check=True
    )
    found = [json.loads(line) for line in run.stdout.strip().splitlines()[-3:]]
    assert [imported for _, imported in found] == [False, True, True]
    for outputs, _ in found:
        torch.testing.assert_close(torch.tensor(outputs), expected)


def test_the_model_card_says_what_was_measured() -> None:
    figures = {"n_seeds": 3, "val_loss": 0.25, "val_loss_sd": 0.0125, "test_error": 0.0625, "chosen_by": "pareto"}
    config = model_folder.model_config(
        SPECS[0],
        input_shape=(1, 8, 8),
        n_outputs=4,
        mean=(0.5,),
        std=(0.25,),
        provenance={"figures": figures, "study": {"name": "s", "data": {"name": "digits"}}},
    )
    card = render_card(config)
    for text in ("fc depth=2 width=7", "0.25 ± 0.0125", "0.0625", "pareto", "`digits`", "minus 0.5, divided by 0.25"):
        assert text in card
    assert "license: unknown" in card
    assert "per channel or feature.\n" in card
    config["model_args"]["unit_norm"] = True
    said = "per channel or feature, which the network divides by the Euclidean norm of the whole input.\n"
    assert said in render_card(config)


def test_onnx_computes_the_same(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = complete(tmp_path / "net", SPECS[1], onnx=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "net" / onnx_file.ONNX))
    for n in (1, 5):
        x = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(n))
        with torch.no_grad():
            expected = model(x)
        torch.testing.assert_close(torch.from_numpy(session.run(None, {"input": x.numpy()})[0]), expected)


def test_onnx_without_its_packages_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "net", SPECS[0])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ns.InvalidInputError, match=r"nas-sens\[onnx\]"):
        onnx_file.write_onnx(tmp_path / "net", torch.nn.Linear(1, 1), (1,), {})
