"""Trainers of frameworks, as they stand in ``examples/``: searched, killed, resumed, pruned, reported and exported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import nas_sens as ns
from nas_sens.core import user_code
from nas_sens.core.figures import Objective
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training.job import TrainingStopped
from nas_sens.training.user_trainer import Following, Goal, train_by
from tests.examples.test_examples import EXAMPLES, copied, run
from tests.tiny_study import comparable, url

EXAMPLE = {  # folder to what it needs, its own one, its target, a keyword's values, where to kill, and inputs
    "lightning": (["lightning"], "my_lightning", "val_recall", {"depth": 1, "width": 4, "dropout": 0.25},
                  "on_validation_epoch_end", "torch.rand(5, 1, 8, 8)"),
    "hugging_face": (["transformers", "accelerate"], "my_hugging_face", "val_accuracy",
                     {"layers": 1, "heads": 1, "dropout": 0.1},
                     "on_evaluate", "torch.randint(0, 23, (5, 14))"),
}  # fmt: skip
BUILDER = {"lightning": "cnn", "hugging_face": "bert"}
# Kills the process before the third epoch of a training is reported, if it is told to.
KILLED = """

import os, signal

class Killed(Report):
    def {hook}(self, *args, **kwargs):
        if "KILL" in os.environ and len(self.job.rows) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        super().{hook}(*args, **kwargs)

Report = Killed
"""


def needed(folder: str) -> None:
    for module in EXAMPLE[folder][0]:
        pytest.importorskip(module, reason=f"{module} is missing: pip install 'nas-sens[examples]'")


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


@pytest.mark.slow
@pytest.mark.parametrize("folder", EXAMPLE)
def test_a_killed_search_goes_on_to_the_figures_of_one_that_was_not(folder: str, tmp_path: Path) -> None:
    needed(folder)
    _, module, target, _, hook, inputs = EXAMPLE[folder]
    where = copied(folder, tmp_path)
    with (where / f"{module}.py").open("a") as file:
        file.write(KILLED.format(hook=hook))
    before = file_names(where)
    search = ["-m", "nas_sens", "search", "study.toml", "--n-candidates", "8", "--top-k", "2", "--storage"]
    command = [sys.executable, *search, url(where)]
    done = subprocess.run(command, cwd=where, env={**os.environ, "KILL": "yes"}, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert list((where / "a_artifacts" / "trainings").rglob("last.ckpt" if folder == "lightning" else "checkpoint-*"))
    output = [run(where, *search, url(where, name)) for name in "ab"]
    assert "Trained candidates" in output[0]
    killed, whole = (read_result(StudyStorage(url(where, name)), folder) for name in "ab")
    assert comparable(killed) == comparable(whole)  # figures and curves, bit for bit
    assert len(killed.trials) == 4
    assert all(t.is_ok and len(t.curve) >= 5 and t.log10_sensitivity_after is not None for t in killed.trials)
    assert killed.best.figures[target] == max(t.figures[target] for t in killed.trials) > 0.6
    assert killed.best.figures[target.replace("val", "test")] > 0.6
    # It went on, instead of beginning anew, and left nothing behind.
    assert sorted(resumed_epochs(where, folder, killed, "a"))[-1] == 2
    assert max(resumed_epochs(where, folder, whole, "b"), default=0) == 0
    assert not any((where / "a_artifacts" / "trainings").glob("*"))
    made = {"a.db", "b.db", "a_artifacts", "b_artifacts", f"{folder}_report.html"}
    assert file_names(where) - before == made
    assert target in (where / f"{folder}_report.html").read_text()
    run(where, "-m", "nas_sens", "export", folder, "--rank", "1", "-o", "net", "--storage", url(where))
    exported_equals_trained(where, folder, inputs)


def resumed_epochs(where: Path, folder: str, result: ns.SearchResult, name: str) -> list[int]:
    """Return after which epochs trainings went on, as their logs have it."""
    texts = []
    for trial in result.trials:
        log = where.parent / f"{name}-{trial.number}.log"
        StudyStorage(url(where, name)).fetch_artifact(folder, trial.number, "training.log", log)
        texts.append(log.read_text())
    return [int(n) for n in re.findall(r"goes on after epoch (\d+)", "\n".join(texts))]


def exported_equals_trained(where: Path, folder: str, inputs: str) -> None:
    """The program is loaded by a process that has neither the module nor nas_sens; any batch size."""
    code = (
        f"import sys, json, torch; torch.manual_seed(0); x = {inputs}; "
        "net = torch.export.load('net/model.pt2').module(); y = net(x); y = y['logits'] if isinstance(y, dict) else y; "
        "assert not {'nas_sens', 'lightning'} & set(sys.modules); print(json.dumps(y.tolist()))"
    )
    loaded = torch.tensor(json.loads(run(where, "-c", code).splitlines()[-1]))
    torch.manual_seed(0)
    x = eval(inputs)
    user_code.look_beside(where)
    sys.modules.pop(EXAMPLE[folder][1], None)
    with torch.no_grad():
        own = ns.load_model(url(where), folder, rank=1).eval()(x)
    own = own if isinstance(own, torch.Tensor) else own.logits
    assert loaded.shape == own.shape == (5, own.shape[1])
    torch.testing.assert_close(loaded, own, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("folder", EXAMPLE)
def test_a_framework_lets_a_pruned_training_end(folder: str, tmp_path: Path) -> None:
    needed(folder)
    _, module, target, keywords, _, _ = EXAMPLE[folder]
    user_code.look_beside(copied(folder, tmp_path))
    sys.modules.pop(module, None)
    family = f"{module}:{BUILDER[folder]}"
    architecture = ns.load_spec({"family": family, **keywords})
    splits = ns.load_data(ns.DataSpec(name=f"{module}:data"))
    spec = ns.TrainSpec(trainer=f"{module}:fit", epochs=4)
    goal = Goal(objective=Objective(target, "maximize"), final=target)

    def trained(**following: object) -> object:
        return train_by(architecture, splits, spec, goal=goal, seed=2**62, folder=tmp_path / "files",
                        device=torch.device("cpu"), following=Following(**following))  # fmt: skip

    pruned = trained(prune=lambda curve, n_epochs, name: (len(curve), n_epochs, name) == (2, 4, target))
    assert pruned.status == "pruned: after epoch 2 others had done better"
    assert len(pruned.curve) == 2

    def lost(curve: object) -> None:
        raise TrainingStopped

    with pytest.raises(TrainingStopped):  # another worker has it
        trained(on_curve=lost)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("folder", EXAMPLE)
def test_few_lines_are_for_nas_sens(folder: str) -> None:
    code = re.sub(r'^""".*?"""', "", (EXAMPLES / folder / f"{EXAMPLE[folder][1]}.py").read_text(), flags=re.DOTALL)
    ours = [line for line in code.splitlines() if re.search(r"\bns\.|\bjob\b|nas_sens\.", line)]
    assert 0 < len(ours) <= 10
