"""The best networks of a study trained on: which, from what, with which seeds, and what is said of it."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import optuna
import pytest
import torch
from click.testing import CliRunner

import nas_sens as ns
from nas_sens.cli.main import cli
from nas_sens.dashboard.notes import notes
from nas_sens.models.trained import export_model
from nas_sens.pipeline.refine import Wish, refined_study
from nas_sens.pipeline.search import complete, open_study
from nas_sens.pipeline.worker import stored_spec
from nas_sens.report import answer, write_report
from nas_sens.report.refinement import optimism_text, refinement_lines
from nas_sens.results.search_result import read_result
from nas_sens.statistics.optimism import optimism_of_best
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.training.checkpoint import Checkpoint
from nas_sens.training.networks import digest_of
from tests.cli.test_cli import run
from tests.tiny_study import FC, tiny, url

SPACE = ns.SearchSpace(
    name="two families",
    families={"fc": FC, "cnn": {"depth": 1, "channels": {"type": "int", "low": 2, "high": 6}, "init": "he_normal"}},
    training={"learning_rate": [0.001, 0.01]},
)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> StudyStorage:
    folder = tmp_path_factory.mktemp("refine")
    spec = tiny(search_space=SPACE, select=ns.SelectSpec(rule="random", top_k=5, control=0), data=DATA)
    ns.search(spec, storage=url(folder), device="cpu")
    return StudyStorage(url(folder), must_exist=True)


DATA = ns.DataSpec(name="digits", train_samples=100, val_samples=60, test_samples=60)


def refined(storage: StudyStorage, wish: Wish, source: str = "tiny") -> ns.SearchResult:
    spec = refined_study(storage, source, wish)
    complete(open_study(spec, storage=storage.url, device="cpu"), None)
    return read_result(storage, spec.name)


def test_finalists_are_trained_again_with_fresh_seeds(storage: StudyStorage, tmp_path: Path) -> None:
    source = read_result(storage, "tiny")
    wish = Wish(rank=2, n_finalists=3, values={"train.epochs": 3, "data.train_samples": 200}, name="again")
    result = refined(storage, wish)
    by_digest = {t.digest: t for t in source.trials}
    assert {t.digest for t in result.trials} == {t.digest for t in source.trials[1:4]}
    assert {t.chosen_by for t in result.trials} == {"refined"}
    for t in result.trials:
        assert t.training == by_digest[t.digest].training
        assert (t.n_seeds, len(t.curve)) == (2, 3)
        assert t.curve[0] != by_digest[t.digest].curve[0]
    spec = stored_spec(storage, "again")
    assert (spec.data.train_samples, spec.train.epochs, spec.train.pruner) == (200, 3, "none")
    assert spec.refine is not None
    assert [f.rank for f in spec.refine.finalists] == [2, 3, 4]
    assert [f.value for f in spec.refine.finalists] == [t.val_loss for t in source.trials[1:4]]
    errors = [t.val_loss_sd / math.sqrt(2) for t in source.trials]
    assert spec.refine.optimism == optimism_of_best([t.val_loss for t in source.trials], errors).expected > 0
    assert refined_study(storage, "tiny", wish) == spec  # and it goes on as it is
    assert refined(storage, wish).trials == result.trials
    assert dict(spec.refine.changed) == {"train.epochs": 2, "data.train_samples": 100}
    lines = refinement_lines(result.protocol, result.trials)
    told = "Refines the study tiny: 3 of 5 trained networks, trained again from random weights with fresh seeds"
    assert lines[0].startswith(told)
    assert "train.epochs 2 → 3" in lines[0]
    assert f"{spec.refine.optimism:.4g}" in lines[1]
    assert lines[-1].startswith("What remains: the best of these 3 is expected to look ")
    found = answer("again", result.protocol, result.candidates, result.trials)
    assert (found.refinement, [x.is_asked for x in found.lights]) == (tuple(lines), [False] * 3)
    assert [x.command for x in found.lights] == [None] * 3  # there is nothing else in it that could be trained
    told = [line for line in found.lines() if line.startswith("Would another seed agree?")]
    assert told == [f"Would another seed agree? Not asked here. {lines[-1]}"]
    assert lines[-1] in unescape(notes(result)[None])
    assert lines[-1] in result._repr_html_()
    page = write_report(
        tmp_path / "r.html", name="again", protocol=result.protocol, candidates=result.candidates, trained=result.trials
    )
    assert "What remains: the best of these 3" in page.read_text(encoding="utf-8")
    card = (export_model(storage, "again", tmp_path / "net", rank=1) / "README.md").read_text(encoding="utf-8")
    first = next(f for f in spec.refine.finalists if f.digest == result.trials[0].digest)
    assert f"It refines rank {first.rank} of the study `tiny`" in card


def test_training_goes_on_from_the_best_weights(storage: StudyStorage) -> None:
    source, model = read_result(storage, "tiny"), ns.load_model(storage.url, "tiny", rank=1)
    values = {"train.epochs": 1, "train.seeds": 2, "train.optimizer": "sgd", "train.weight_decay": 0.0}
    first = source.trials[0]
    space = stored_spec(storage, "tiny").search_space.training_names
    assert space == ["learning_rate"]  # which a finalist keeps: the smallest steps are taken by a tiny gradient
    result = refined(storage, Wish(start="weights", name="on", values={**values, "train.max_gradient_norm": 1e-9}))
    splits = ns.load_data(DATA)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(splits.x_val), splits.y_val)
    assert result.trials[0].digest == first.digest
    assert result.trials[0].val_loss == pytest.approx(float(loss), rel=1e-5)
    assert result.trials[0].val_loss_sd == pytest.approx(0, abs=1e-6)
    lines = refinement_lines(result.protocol, result.trials)
    assert "trained on from the weights of their best training" in lines[0]
    assert lines[-1] == "What remains: nothing, as nothing was chosen by this result."
    again = refined(storage, Wish(start="weights", name="further", values={"train.epochs": 1}), source="on")
    assert again.trials[0].digest == first.digest


WRONG = {
    "rank": (Wish(rank=9, name="new"), "rank 9 of study 'tiny' does not exist"),
    "finalists": (Wish(n_finalists=6, name="new"), "rank 6 of study 'tiny' does not exist"),
    "validation set": (Wish(name="new", values={"data.seed": 3}), "must stay what finalists are compared by"),
    "unknown key": (Wish(name="new", values={"train.epoch": 3}), "did you mean 'train.epochs'?"),
    "value": (Wish(name="new", values={"train.epochs": "many"}), "epochs"),
    "searched": (Wish(name="new", values={"train.learning_rate": 0.1}), "it was searched"),
    "a study": (Wish(name="tiny"), "there is a study 'tiny' already, which is no refinement"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_wishes_are_one_line(storage: StudyStorage, kind: str) -> None:
    wish, said = WRONG[kind]
    with pytest.raises(ns.InvalidInputError, match=said.replace("?", r"\?")) as error:
        refined_study(storage, "tiny", wish)
    assert "\n" not in str(error.value)
    assert not storage.exists("new")


def test_another_wish_of_the_same_name_and_lost_weights_are_told(tmp_path: Path) -> None:
    ns.search(tiny(data=DATA), storage=url(tmp_path), device="cpu")
    storage = StudyStorage(url(tmp_path), must_exist=True)
    spec = refined_study(storage, "tiny", Wish(start="weights"))
    session = open_study(spec, storage=storage.url, device="cpu")
    with pytest.raises(ns.InvalidInputError, match="with rank 1, 1 finalists and --from weights"):
        refined_study(storage, "tiny", Wish(start="scratch"))
    optuna.delete_study(study_name="tiny", storage=url(tmp_path))
    with pytest.raises(ns.StorageError, match="'tiny', whose weights are trained on, is not in this database"):
        complete(session, None)


def test_a_checkpoint_of_other_weights_is_not_gone_on_from(tmp_path: Path) -> None:
    splits, spec, train = ns.load_data(DATA), ns.FCSpec(depth=1, width=4), ns.TrainSpec(epochs=2)
    begun = ns.train(spec, splits, train, seed=0)
    assert digest_of(begun.state) != digest_of(ns.train(spec, splits, train, seed=1).state)
    files = Artifacts(tmp_path)
    ns.train(spec, splits, train, seed=2, checkpoint=Checkpoint(files, "c.pt", keeps_end=True))
    checkpoint = Checkpoint(files, "c.pt", keeps_end=True)
    on = ns.train(spec, splits, train, seed=2, checkpoint=checkpoint, start=begun.state)
    assert checkpoint.unused
    assert on.curve == ns.train(spec, splits, train, seed=2, start=begun.state).curve
    assert on.curve[0] < begun.curve[0]


def test_one_seed_gives_a_bound(storage: StudyStorage) -> None:
    source = read_result(storage, "tiny")
    alone = [replace(t, val_loss_sd=None, n_seeds=1) for t in source.trials]
    text = optimism_text(source.protocol, alone)
    assert "may look up to" in text
    assert "trained with one seed" in text
    assert optimism_text(source.protocol, source.trials[:1]) is None


@pytest.mark.slow
def test_the_command_says_what_came_of_it(storage: StudyStorage, tmp_path: Path) -> None:
    options = ["--epochs", "1", "--finalists", "2", "--name", "typed", "--set", "train.schedule=cosine"]
    done = run(tmp_path, "refine", "tiny", *options, OPTUNA_STORAGE=storage.url)
    assert done.returncode == 0, done.stderr
    result = read_result(storage, "typed")
    found = answer("typed", result.protocol, result.candidates, result.trials)
    assert "\n".join(found.lines()) in done.stdout  # the lines that a search ends with
    assert "train.schedule constant → cosine" in done.stdout
    assert "What remains: the best of these 2" in done.stdout
    assert "next:\n  nas-sens export typed --rank 1" in done.stderr
    assert (tmp_path / "typed_report.html").is_file()
    again = run(tmp_path, "refine", "tiny", *options, "--format", "csv", OPTUNA_STORAGE=storage.url)
    assert again.stdout.count("\n") == 3  # a program reads rows only


def copied(storage: StudyStorage, folder: Path) -> str:
    """Return the database of a copy of the study with its files."""
    shutil.copytree(Path(storage.url.removeprefix("sqlite:///")).parent, folder)
    return url(folder)


def compared(place: str) -> list[tuple[object, ...]]:
    found = read_result(StudyStorage(place, must_exist=True), "tiny-refined")
    return [(t.digest, t.val_loss, t.val_loss_sd, t.curve, t.chosen_by) for t in found.trials]


BY_WORKERS = ("refine", "tiny", "--from", "weights", "--finalists", "3", "--epochs", "1", "--device", "cpu")


def test_workers_refine_to_what_one_process_does(
    storage: StudyStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    by_one, by_workers = copied(storage, tmp_path / "one"), copied(storage, tmp_path / "two")
    for place, arguments in ((by_one, ()), (by_workers, ("--workers", "2", "--engine", "in_process"))):
        done = CliRunner().invoke(cli, [*BY_WORKERS, *arguments, "--storage", place])
        assert done.exit_code == 0, done.output
        assert "What remains: the best of these 3" in done.output
    assert len(compared(by_one)) == 3
    assert compared(by_workers) == compared(by_one)


@pytest.mark.slow
def test_workers_that_are_processes_refine_to_what_one_does(storage: StudyStorage, tmp_path: Path) -> None:
    by_one, by_workers = copied(storage, tmp_path / "one"), copied(storage, tmp_path / "two")
    ns.refine("tiny", finalists=3, start="weights", values={"train.epochs": 1}, storage=by_one, device="cpu")
    done = run(tmp_path, *BY_WORKERS, "--workers", "2", "--storage", by_workers, "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 4
    assert compared(by_workers) == compared(by_one)
    by = {t.user_attrs.get("worker") for t in optuna.load_study(study_name="tiny-refined", storage=by_workers).trials}
    assert len(by - {None}) >= 1


def test_what_is_no_key_is_one_line(storage: StudyStorage, tmp_path: Path) -> None:
    done = run(tmp_path, "refine", "tiny", "--set", "epochs", OPTUNA_STORAGE=storage.url)
    assert (done.returncode, "--set must be KEY=VALUE" in done.stderr) == (2, True)


def test_from_python_it_is_the_same_as_from_the_command_line(storage: StudyStorage) -> None:
    found = ns.refine("tiny", rank=2, values={"train.epochs": 1}, name="by python", storage=storage.url, device="cpu")
    arguments = ("--rank", "2", "--epochs", "1", "--name", "by command", "--storage", storage.url, "--device", "cpu")
    done = run(Path(storage.url.removeprefix("sqlite:///")).parent, "refine", "tiny", *arguments)
    assert done.returncode == 0, done.stderr
    expected = read_result(storage, "by command")
    assert [t.digest for t in found.trials] == [t.digest for t in expected.trials]
    assert found.protocol["refine"]["finalists"] == expected.protocol["refine"]["finalists"]
    assert ns.refine("tiny", rank=2, values={"train.epochs": 1}, name="by python", storage=storage.url).trials == (
        found.trials
    )
    with pytest.raises(ns.InvalidInputError, match=r"refine cannot change 'train\.nothing'"):
        ns.refine("tiny", values={"train.nothing": 1}, storage=storage.url)
