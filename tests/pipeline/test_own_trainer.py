"""A trainer of one's own: its figures everywhere by their names, what goes on after a kill, what fails and how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest
import torch

import nas_sens as ns
from nas_sens.core import user_code
from nas_sens.core.errors import UserCodeError
from nas_sens.pipeline.declare import declare
from nas_sens.pipeline.search import complete, open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import comparable, tiny, url


def epoch_of(model: torch.nn.Module, job: ns.Job, optimizer: torch.optim.Optimizer) -> float:
    x, y = job.data.x_train, job.data.y_train
    for rows in torch.randperm(len(x)).split(32):
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float((model(job.data.x_val).argmax(1) == job.data.y_val).double().mean())


def fit(model: torch.nn.Module, job: ns.Job) -> dict[str, float]:
    """Train for three epochs, and print."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    accuracy = 0.0
    for epoch in job.epochs(3, optimizer=optimizer):
        accuracy = epoch_of(model, job, optimizer)
        print("epoch", epoch)  # noqa: T201 - as trainers do
        job.report(val_accuracy=accuracy, lr=0.01)
    return {"val_accuracy": accuracy, "test_accuracy": accuracy / 2, "val_error": 1 - accuracy}


def studied(**changes: object) -> ns.StudySpec:
    select = ns.SelectSpec(target="val_accuracy", direction="maximize", top_k=3, control=2, rounds=1)
    return tiny(**{"select": select, "train": ns.TrainSpec(trainer=fit, seeds=2), **changes})


def test_its_figures_are_where_all_figures_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = ns.search(studied(), storage=url(tmp_path))
    assert capsys.readouterr().out == ""  # what a trainer prints is no result of a command
    assert (result.ranked_by, result.direction) == ("val_accuracy", "maximize")
    accuracies = [t.figures["val_accuracy"] for t in result.trials]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(set(accuracies)) > 1
    best = result.best
    assert best.val_error == pytest.approx(1 - accuracies[0])
    assert best.figures["test_accuracy"] == pytest.approx(accuracies[0] / 2)
    assert best.figure_sds["val_accuracy"] > 0
    assert (best.val_loss, best.predicted_loss) == (None, None)
    assert best.log10_sensitivity_after is not None
    assert best.curve_of == "val_accuracy"
    assert best.curve[-1] == pytest.approx(accuracies[0])
    assert best.curves["lr"] == (0.01, 0.01, 0.01)
    assert result.frame()["val_accuracy"].tolist() == accuracies
    # As plain Optuna and its dashboard see it.
    study = optuna.load_study(study_name="tiny", storage=url(tmp_path))
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.best_trial.number == best.number
    assert study.best_trial.user_attrs["test_accuracy"] == best.figures["test_accuracy"]
    assert study.best_trial.intermediate_values == dict(enumerate(best.curve, 1))
    # The weights are those that the trainer left, of the better seed.
    model = ns.load_model(url(tmp_path), "tiny", rank=1)
    data = ns.load_data(studied().data)
    reached = float((model(data.x_val).argmax(1) == data.y_val).double().mean())
    sd = best.figure_sds["val_accuracy"]
    assert reached == pytest.approx(accuracies[0] + sd / 2**0.5, abs=1e-6)


def test_rules_learn_from_a_maximised_figure_as_from_its_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(40, 2, generator=generator).tolist()
    pool = [ns.Candidate(f"{i:02d}", {"log10_sensitivity": a, "log10_params": b}) for i, (a, b) in enumerate(rows)]
    known = {c.digest: c.features["log10_sensitivity"] ** 2 for c in pool[:12]}
    largest = ns.select(pool, known, rule="calibrated", n=8, target="f1", direction="maximize")
    negative = ns.select(pool, {k: -v for k, v in known.items()}, rule="calibrated", n=8, target="f1")
    assert [p.digest for p in largest] == [p.digest for p in negative]
    assert [p.predicted_mean for p in largest] == [-p.predicted_mean for p in negative]
    assert "larger S goes with larger f1" in largest[0].reason
    failed = {**known, "00": -float("inf")}
    picks = ns.select(pool, failed, rule="calibrated", n=8, target="f1", direction="maximize")
    negative = ns.select(pool, {k: -v for k, v in failed.items()}, rule="calibrated", n=8)
    assert [p.digest for p in picks] == [p.digest for p in negative]


def test_a_search_with_a_pruner_ends_worse_trainings_and_no_control_ones(tmp_path: Path) -> None:
    select = ns.SelectSpec(rule="random", target="score", direction="maximize", top_k=16, control=4)
    train = ns.TrainSpec(seeds=1, pruner="median", epochs=8, trainer=by_width)
    space = ns.SearchSpace(name="s", families={"fc": {"depth": 1, "width": {"type": "int", "low": 1, "high": 30}}})
    spec = tiny(select=select, train=train, search_space=space, search=ns.SearchSpec(n_candidates=26))
    result = ns.search(spec, storage=url(tmp_path))
    pruned = [t for t in result.trials if t.is_pruned]
    assert pruned
    assert all(t.chosen_by == "random" and len(t.curve) < 8 for t in pruned)
    assert {len(t.curve) for t in result.trials if t.is_ok} == {8}
    median = sorted(t.figures["score"] for t in result.trials if t.is_ok)[0]
    assert max(t.curve[-1] for t in pruned) < max(t.figures["score"] for t in result.trials if t.is_ok)
    assert median > min(t.curve[-1] for t in pruned)  # the least were ended, not the best


def by_width(model: torch.nn.Module, job: ns.Job) -> dict[str, float]:
    for _ in job.epochs():
        job.report(score=job.spec.width)
    return {"score": job.spec.width}


KILLED = """
import os, random, signal, sys
from pathlib import Path
import numpy as np
import torch
import nas_sens as ns
sys.path.insert(0, ROOT)
from tests.pipeline.test_own_trainer import epoch_of, short

def fit(model, job):
    how, folder = os.environ["HOW"], Path(os.environ["FOLDER"])
    optimizer = torch.optim.SGD(model.parameters(), 1e-2, momentum=0.9)
    accuracy = 0.0
    if (state := job.load()) and how == "save":
        optimizer.load_state_dict(state["optimizer"])
        assert state["note"] == ["kept", 1]
    kept = {"optimizer": optimizer} if how == "epochs" else {}
    for epoch in job.epochs(4, **kept):
        with (folder / "epochs.txt").open("a") as file:
            file.write(f"{job.seed} {epoch}\\n")
        accuracy = epoch_of(model, job, optimizer) + 1e-6 * (random.random() + np.random.rand())
        job.report(val_accuracy=accuracy)
        if how == "save":
            job.save({"note": ["kept", 1]}, optimizer=optimizer)
        if "KILL" in os.environ and len((folder / "epochs.txt").read_text().splitlines()) == 7:
            os.kill(os.getpid(), signal.SIGKILL)  # in the third epoch of the second seed of the first candidate
    return {"val_accuracy": accuracy}

if __name__ == "__main__":
    import killed_trainer
    short(killed_trainer.fit, Path(os.environ["FOLDER"]))
"""


def short(trainer: object, folder: Path) -> ns.SearchResult:
    select = ns.SelectSpec(target="val_accuracy", direction="maximize", top_k=1, control=1, rounds=1)
    train = ns.TrainSpec(seeds=2, checkpoint_seconds=0)
    session = open_study(
        declare(studied(select=select, train=train), trainer=trainer),
        storage=url(folder),
        settings=Settings(grace_seconds=2.0),  # after which a killed process is given up
    )
    complete(session, None)
    return read_result(session.storage, "tiny")


@pytest.mark.parametrize(
    ("how", "repeated"),
    [
        ("epochs", 1),
        pytest.param("save", 0, marks=pytest.mark.slow),
        pytest.param("nothing", 3, marks=pytest.mark.slow),
    ],
)
def test_a_killed_training_goes_on_to_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, repeated: int
) -> None:
    root = str(Path(__file__).parents[2])
    (tmp_path / "killed_trainer.py").write_text(KILLED.replace("ROOT", repr(root)))
    monkeypatch.setenv("HOW", how)
    results = []
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("FOLDER", str(tmp_path / name))
        if name == "killed":
            environment = {**os.environ, "KILL": "yes", "PYTHONPATH": root}
            done = subprocess.run([sys.executable, "killed_trainer.py"], cwd=tmp_path, env=environment, check=False)
            assert done.returncode == -signal.SIGKILL
        user_code.look_beside(tmp_path)
        sys.modules.pop("killed_trainer", None)  # of another case
        results.append(comparable(short("killed_trainer:fit", tmp_path / name)))
    assert results[0] == results[1]
    n_epochs = [len((tmp_path / name / "epochs.txt").read_text().splitlines()) for name in ("killed", "whole")]
    assert n_epochs == [16 + repeated, 16]  # the first seed, which was over, is never trained again
    assert not any((tmp_path / "killed" / "a_artifacts" / "trainings").glob("*"))


BAD = {
    "returns no figures": ("return 3", "must return figures by name, such as {'val_error': 0.1}; it returned 'int'"),
    "returns nothing": (
        "return None",
        "must return figures by name, such as {'val_error': 0.1}; it returned 'NoneType'",
    ),
    "lacks the target": ("return {'f1': 1.0}", "must return val_accuracy, by which [select] decides; it returned f1"),
    "a name that is taken": ("return {'val_accuracy': 1, 'params': 2}", "the figure 'params' must be named otherwise"),
    "no number": ("return {'val_accuracy': 'high'}", "the figure 'val_accuracy' must be a number; ValueError"),
    "other layers": (
        "model.extra = torch.nn.Linear(2, 2); return {'val_accuracy': 1}",
        "must leave the network's layers as they are; it changed extra.bias, extra.weight",
    ),
    "raises": ("raise KeyError('gone')", "KeyError: 'gone'"),
    "raises with numbers": ("raise ValueError(f'{job.spec.width} units')", "units"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "keeps what it cannot": (
        "list(job.epochs(2, rows=[1])); return {}",
        "job.epochs can keep what has state_dict and load_state_dict; rows is 'list'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_and_stops_the_search_when_nothing_else_comes(tmp_path: Path, case: str) -> None:
    code, expected = BAD[case]
    name = f"bad_{list(BAD).index(case)}"
    (tmp_path / f"{name}.py").write_text(f"import torch\ndef fit(model, job):\n    {code}\n")
    (tmp_path / "study.toml").write_text(STUDY.format(trainer=f"{name}:fit"))
    with pytest.raises(UserCodeError) as caught:
        ns.search(tmp_path / "study.toml", storage=url(tmp_path))
    failed = StudyStorage(url(tmp_path)).trained("own")
    assert len(failed) == 3
    for t in failed:
        assert t.status.startswith(f"failed in {name}:fit: ")
        assert expected in t.status
    text = str(caught.value)
    assert text.startswith("each of the first 3 candidates failed with the same error in ")
    assert "mend it and run this again" in text
    if case == "raises":
        assert isinstance(caught.value.__cause__, KeyError)
        assert f'{name}.py", line 3, in fit' in caught.value.traceback
        assert "nas_sens" not in caught.value.traceback.replace(str(tmp_path), "")
        log = tmp_path / "log"
        StudyStorage(url(tmp_path)).fetch_artifact("own", failed[0].number, "training.log", log)
        assert f'{name}.py", line 3, in fit' in log.read_text()
        _mend(tmp_path, name, {t.digest for t in failed})


def _mend(tmp_path: Path, name: str, failed: set[str]) -> None:
    """Mended, they are trained anew, and a failure leaves no trace in the ranking."""
    (tmp_path / f"{name}.py").write_text("def fit(model, job):\n    return {'val_accuracy': job.spec.width}\n")
    command = [sys.executable, "-m", "nas_sens", "search", "study.toml", "--storage", url(tmp_path)]
    mended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert mended.returncode == 0, mended.stderr
    done = StudyStorage(url(tmp_path)).trained("own")
    assert len(done) == 5
    assert all(t.is_ok for t in done)
    assert failed <= {t.digest for t in done}


STUDY = textwrap.dedent("""
    name = "own"
    [search_space.fc]
    depth = 1
    width = {{ type = "int", low = 2, high = 30 }}
    [data]
    name = "digits"
    train_samples = 100
    [score]
    n_inputs = 8
    seeds = 1
    [search]
    n_candidates = 8
    [select]
    target = "val_accuracy"
    direction = "maximize"
    top_k = 3
    control = 2
    [train]
    trainer = "{trainer}"
    seeds = 1
""")


def odd(model: torch.nn.Module, job: ns.Job) -> dict[str, float]:
    if job.spec.width % 2:
        raise ValueError("odd")
    return {"val_accuracy": float("nan") if job.spec.width % 4 else 1.0, "other": float("inf")}


def test_single_failures_are_stored_and_the_search_goes_on(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="s", families={"fc": {"depth": 1, "width": {"type": "int", "low": 2, "high": 13}}})
    select = ns.SelectSpec(rule="params", target="val_accuracy", direction="maximize", top_k=8, control=0)
    spec = tiny(search_space=space, select=select, train=ns.TrainSpec(trainer=odd, seeds=2))
    result = ns.search(spec, storage=url(tmp_path))
    kinds = {t.status.split(" (")[0] for t in result.trials}
    assert kinds == {"ok", f"failed in {__name__}:odd: ValueError: odd",
                     "diverged: val_accuracy is not finite"}  # fmt: skip
    assert all(t.figures == {"val_accuracy": 1.0} for t in result.trials if t.is_ok)
    states = {t.state.name for t in optuna.load_study(study_name="tiny", storage=url(tmp_path)).trials}
    assert states == {"PRUNED", "COMPLETE", "FAIL"}
    again = ns.search(spec, storage=url(tmp_path))  # all is done: failures of this code are not tried again
    assert comparable(again) == comparable(result)


def needing(model: torch.nn.Module, job: ns.Job) -> dict[str, float]:
    return {"val_accuracy": float(os.environ["NAS_SENS_TEST_NEEDED"])}


def test_what_has_never_worked_is_tried_again_though_the_code_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = studied(train=ns.TrainSpec(trainer=needing, seeds=1))
    with pytest.raises(UserCodeError, match="KeyError: 'NAS_SENS_TEST_NEEDED'"):
        ns.search(spec, storage=url(tmp_path))
    monkeypatch.setenv("NAS_SENS_TEST_NEEDED", "0.5")  # what was wrong was not in the file
    result = ns.search(spec, storage=url(tmp_path))
    assert [t.status for t in result.trials] == ["ok"] * 5


REFUSED = {
    "no such figure": ({"target": "val_acc"}, {}, "[select] target must be val_error or val_loss"),
    "a test figure": ({"target": "test_f1"}, {"trainer": fit}, "must be no figure of the test set"),
    "a larger error": (
        {"target": "val_error", "direction": "maximize"}, {"trainer": fit}, "of which less is better"),
    "another final": ({"target": "f1", "final": "f2"}, {"trainer": fit}, "[select] final must be the target (f1)"),
    "a prediction": ({"target": "f1", "final": "predicted_loss"}, {"trainer": fit}, "[select] final must be"),
    "two trainings": ({}, {"trainer": fit, "label_noise": 0.1}, "label_noise is a part of the tool's own training"),
    "no function": ({}, {"trainer": "tests.tiny_study:STUDY"}, "it is str"),
    "other arguments": ({}, {"trainer": "tests.tiny_study:comparable"}, "too many positional arguments"),
    "no module": ({}, {"trainer": "nowhere:fit"}, "no module 'nowhere'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_declarations_that_cannot_be_are_refused_before_anything_is_made(tmp_path: Path, case: str) -> None:
    select, train, expected = REFUSED[case]
    with pytest.raises(ValueError, match=r".") as caught:
        ns.search(tiny(select=ns.SelectSpec(**select), train=ns.TrainSpec(**train)), storage=url(tmp_path))
    assert expected in str(caught.value)
    assert not list(tmp_path.iterdir())


def told(model: torch.nn.Module, job: ns.Job) -> dict[str, float]:
    assert job.folder.is_dir()
    assert 0 <= job.seed < 2**32  # which NumPy and others require
    assert not list(job.folder.iterdir())
    (job.folder / "file").write_text("x")
    assert job.train.learning_rate in (0.1, 0.2)
    assert next(model.parameters()).device == job.device
    job.log("this is noted")
    import random

    import numpy as np

    draws = [random.random(), float(np.random.rand()), float(torch.rand(()))]  # noqa: NPY002
    torch.nn.init.zeros_(model[-1].weight if isinstance(model, torch.nn.Sequential) else next(model.parameters()))
    return {"val_error": job.train.learning_rate, "a": draws[0], "b": draws[1], "c": draws[2], "seed": job.seed % 997}


def test_a_job_says_what_is_trained_and_streams_are_seeded_and_put_back(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="s", families={"fc": {"depth": 1, "width": [4, 5]}},
                           training={"learning_rate": [0.1, 0.2]})  # fmt: skip
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=4), train=ns.TrainSpec(trainer=told, seeds=1),
                select=ns.SelectSpec(rule="random", top_k=4, control=0))  # fmt: skip
    before = torch.get_rng_state()
    results = [ns.search(spec, storage=url(tmp_path, name)) for name in "ab"]
    assert torch.equal(torch.get_rng_state(), before)
    assert comparable(results[0]) == comparable(results[1])
    trials = results[0].trials
    assert {(t.val_error, t.training["learning_rate"]) for t in trials} == {(0.1, 0.1), (0.2, 0.2)}
    assert len({t.figures["a"] for t in trials}) == 1  # by the seed of the training, not by the process's history
    log = tmp_path / "log"
    StudyStorage(url(tmp_path)).fetch_artifact("tiny", trials[0].number, "training.log", log)
    assert "this is noted" in log.read_text()
