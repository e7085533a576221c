"""A search is one Optuna study: it may be deleted, renamed and worked on as any other, and leaves others alone."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from optuna_dashboard import wsgi

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.dashboard.excerpt import excerpt_of
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.train_stage import train_selected
from nas_sens.pipeline.training_queue import Filled, TrainingQueue
from nas_sens.results.search_result import read_result
from nas_sens.storage.queue import MOST_WAITING
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import trainings_in
from tests.tiny_study import comparable, tiny, url


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ns.SearchResult:
    """What a search finds that nobody disturbs."""
    return ns.search(tiny(), storage=url(tmp_path_factory.mktemp("whole")))


def begun(storage: str, **settings: Any) -> Any:
    """Return the open study, its candidates scored and its trainings planned."""
    session = open_study(tiny(), storage=storage, settings=Settings(poll_seconds=0.01, **settings))
    score_candidates(session)
    assert TrainingQueue(session, session.storage.scored("tiny")).fill() == Filled.MORE
    return session


def ask_dashboard(storage: str, method: str, path: str, body: dict[str, object], *, at_most: int = 10_000) -> int:
    """Send a request to the dashboard as `nas-sens dashboard` runs it, and return the status of its answer."""
    database = StudyStorage(storage)
    app = wsgi(excerpt_of(database, at_most=at_most))
    text = json.dumps(body).encode()
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "CONTENT_TYPE": "application/json"}
    environ |= {"CONTENT_LENGTH": str(len(text)), "wsgi.input": io.BytesIO(text), "wsgi.errors": io.StringIO()}
    environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "0", "wsgi.url_scheme": "http"}
    statuses: list[str] = []
    b"".join(app(environ, lambda status, headers, *error: statuses.append(status)))
    database.rdb.engine.dispose()
    return int(statuses[0].split()[0])


def study_id(storage: str, name: str = "tiny") -> int:
    return optuna.load_study(study_name=name, storage=storage)._study_id


def rename(storage: str, new: str, **how: Any) -> None:
    path = f"/api/studies/{study_id(storage)}/rename"
    assert ask_dashboard(storage, "POST", path, {"study_name": new}, **how) == 201
    assert new in optuna.get_all_study_names(storage)
    assert "tiny" not in optuna.get_all_study_names(storage)


def delete_by_optuna(storage: str) -> None:
    optuna.delete_study(study_name="tiny", storage=storage)


def delete_by_dashboard(storage: str) -> None:
    assert ask_dashboard(storage, "DELETE", f"/api/studies/{study_id(storage)}", {}) == 204


@pytest.mark.parametrize("delete", [delete_by_optuna, delete_by_dashboard])
def test_a_deleted_study_begins_anew(tmp_path: Path, delete: Callable[[str], None], whole: ns.SearchResult) -> None:
    other = tiny(train=ns.TrainSpec(epochs=1, seeds=1), select=ns.SelectSpec(rule="params", top_k=4, control=0))
    old = ns.search(other, storage=url(tmp_path))
    assert len(old.trials) == 4
    delete(url(tmp_path))
    assert optuna.get_all_study_names(url(tmp_path)) == []
    again = ns.search(tiny(), storage=url(tmp_path))
    assert comparable(again) == comparable(whole)
    assert {t.n_seeds for t in again.trials} == {2}
    assert {t.number for t in again.trials} == {8, 9, 10}


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


@pytest.mark.parametrize("new", ["mine", "tiny/train"])
def test_a_renamed_study_goes_on_under_its_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], new: str,
    whole: ns.SearchResult,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    storage = url(tmp_path)
    session = begun(storage, max_trainings=1, worker="before")
    assert not train_selected(session)
    assert session.storage.take("tiny") is not None
    states = [t.state.name for t in trainings_in(storage, "tiny")]
    assert states == ["COMPLETE", "RUNNING", "WAITING"]
    rename(storage, new)
    assert [t.state.name for t in trainings_in(storage, new)] == states
    result = read_result(StudyStorage(storage), new)
    assert len(result.candidates) == 8
    assert len(result.trials) == 1
    command("train", new, "--storage", storage)
    assert optuna.get_all_study_names(storage) == [new], "the old name is not taken again"
    trained = [t for t in trainings_in(storage, new) if t.state == TrialState.COMPLETE]
    assert len(trained) == 3
    assert [t.state.name for t in trainings_in(storage, new)] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert comparable(read_result(StudyStorage(storage), new)) == comparable(whole)
    study = optuna.load_study(study_name=new, storage=storage)
    assert study.metric_names == ["val_error"]
    assert study.best_value == min(t.val_error for t in whole.trials if t.val_error is not None)
    capsys.readouterr()
    command("rank", new, "--storage", storage, "--format", "json")
    assert [row["digest"] for row in json.loads(capsys.readouterr().out)] == [t.digest for t in whole.trials]
    command("export", new, "--storage", storage, "-o", "net")
    assert ns.load_spec(tmp_path / "net").digest == whole.best.digest
    assert comparable(ns.search(tiny(name=new), storage=storage)) == comparable(whole)


def test_a_large_study_is_renamed_whole(tmp_path: Path) -> None:
    begun(url(tmp_path))
    rename(url(tmp_path), "mine", at_most=3)
    trials = optuna.load_study(study_name="mine", storage=url(tmp_path)).trials
    assert len(trials) == 8 + 3


def test_somebody_elses_study_of_trainings_is_left_alone(tmp_path: Path, whole: ns.SearchResult) -> None:
    storage = url(tmp_path)
    theirs = optuna.create_study(study_name="tiny/train", storage=storage)
    for t in whole.trials:  # what an earlier version would have taken for its own
        attributes = {"digest": t.digest, "architecture": t.architecture, "params": 1, "flops": 1, "source_trial": 0}
        attributes |= {"candidate": 0, "chosen_by": "pareto", "n_seeds": 1, "val_loss": 0.0, "status": "ok"}
        theirs.add_trial(optuna.create_trial(state=TrialState.COMPLETE, value=0.0, user_attrs=attributes))
    before = theirs.trials, theirs.user_attrs, theirs._storage.get_study_system_attrs(theirs._study_id)
    result = ns.search(tiny(), storage=storage)
    assert comparable(result) == comparable(whole)
    again = optuna.load_study(study_name="tiny/train", storage=storage)
    assert (again.trials, again.user_attrs, again._storage.get_study_system_attrs(again._study_id)) == before
    assert StudyStorage(storage).study_names() == ["tiny"]
    with pytest.raises(ns.InvalidInputError, match="not made by nas_sens"):
        ns.search(tiny(name="tiny/train"), storage=storage)


def test_names_with_a_slash_are_names(tmp_path: Path, whole: ns.SearchResult) -> None:
    storage = url(tmp_path)
    for name in ("tiny/train", "tiny", "tiny/train/train", "/"):
        assert comparable(ns.search(tiny(name=name), storage=storage)) == comparable(whole)
    assert StudyStorage(storage).study_names() == ["/", "tiny", "tiny/train", "tiny/train/train"]
    assert len(optuna.get_all_study_names(storage)) == 4


def test_trials_of_plain_optuna_count(tmp_path: Path, whole: ns.SearchResult) -> None:
    storage = url(tmp_path)
    begun(storage)
    asked: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        asked.append({"depth": trial.suggest_int("depth", 1, 3), "width": trial.suggest_int("width", 4, 24)})
        return 0.001 * len(asked)

    study = optuna.load_study(study_name="tiny", storage=storage)
    study.optimize(objective, n_trials=2)
    waiting = trainings_in(storage, "tiny")
    assert asked == [t.params for t in waiting[:2]]
    by_optuna = {t.user_attrs["digest"] for t in waiting[:2]}
    result = ns.search(tiny(), storage=storage)
    assert {t.digest for t in result.trials} == {t.digest for t in whole.trials}
    assert {t.digest for t in result.trials if t.val_error in (0.001, 0.002)} == by_optuna
    ours = next(t for t in result.trials if t.digest not in by_optuna)
    assert ours.val_loss == next(t.val_loss for t in whole.trials if t.digest == ours.digest)
    study = optuna.load_study(study_name="tiny", storage=storage)
    study.optimize(objective, n_trials=1)  # nothing waits: this one is Optuna's own
    assert len(study.trials) == 8 + 3 + 1
    more = ns.search(tiny(), storage=storage, top_k=4)
    assert len(more.trials) == 5
    assert {t.digest for t in result.trials} < {t.digest for t in more.trials}


def test_no_more_wait_than_optuna_reads_quickly(tmp_path: Path) -> None:
    space = ns.SearchSpace(name="wide", families={"fc": {"depth": 1, "width": {"type": "int", "low": 2, "high": 200}}})
    select = ns.SelectSpec(rule="params", top_k=60, control=20)
    spec = tiny(search_space=space, search=ns.SearchSpec(n_candidates=90), select=select)
    session = open_study(spec, storage=url(tmp_path))
    score_candidates(session)
    queue = TrainingQueue(session, session.storage.scored("tiny"))
    assert queue.fill() == Filled.MORE
    first = [u.training.digest for u in session.storage.trainings("tiny").underway]
    assert len(first) == MOST_WAITING
    assert session.storage.take("tiny") is not None
    assert queue.fill() == Filled.MORE
    assert len(session.storage.trainings("tiny").underway) == MOST_WAITING
    while session.storage.take("tiny") is not None:
        pass
    assert queue.fill() == Filled.MORE
    digests = [u.training.digest for u in session.storage.trainings("tiny").underway]
    assert len(digests) == len(set(digests)) == 80
    assert digests[:MOST_WAITING] == first
