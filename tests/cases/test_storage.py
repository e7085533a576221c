"""Artifacts that nobody refers to, artifacts that are gone, studies that are deleted while they are searched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

import nas_sens as ns
from nas_sens.core.progress import SilentProgress
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.training_queue import Filled, TrainingQueue
from nas_sens.storage.drivers import with_driver
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.storage.uploads import ATTRIBUTE
from tests.tiny_study import tiny, url

SHORT = tiny(train=ns.TrainSpec(epochs=1, seeds=1))


class Told(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)

    detail = message


def planned(storage: str, **settings: Any) -> Any:
    session = open_study(SHORT, storage=storage, settings=Settings(poll_seconds=0.01, **settings))
    score_candidates(session)
    assert TrainingQueue(session, session.storage.scored("tiny")).fill() == Filled.MORE
    return session


def upload(session: Any, job: Any, folder: Path) -> list[str]:
    """Do what a training does until its trial refers to its files."""
    (folder / "weights").write_text("weights")
    storage = session.storage
    ids = storage.artifacts_of("tiny").new_ids(1)
    storage._note("tiny", job, ids)
    storage.artifacts_of("tiny").write({"weights": folder / "weights"}, ids)
    return ids


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_what_a_killed_worker_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    dead, alive = planned(url(tmp_path), worker="dead"), planned(url(tmp_path), worker="alive")
    left = upload(dead, dead.storage.take("tiny"), tmp_path)
    running = upload(alive, alive.storage.take("tiny"), tmp_path)
    place = tmp_path / "a_artifacts"
    theirs = {str(uuid.uuid4()), "notes.txt", "checkpoints/of_another.pt", "sub/file"}
    for name in theirs:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("mine")
    assert alive.storage.sweep("tiny") == [], "both run"
    assert alive.storage.fail_worker("tiny", "dead") == 1
    assert alive.storage.sweep("tiny") == left
    assert files(place) == {*running, *theirs}
    assert alive.storage.sweep("tiny") == left, "asking again does no harm"
    assert files(place) == {*running, *theirs}


def test_what_a_trial_of_any_study_refers_to_is_kept(tmp_path: Path) -> None:
    ns.search(SHORT, storage=url(tmp_path))
    before = files(tmp_path / "a_artifacts")
    database = StudyStorage(url(tmp_path))
    assert database.sweep("tiny") == []
    referred = [k for t in database.rdb.get_all_trials(database.study_id("tiny")) for k in t.system_attrs]
    ids = [k.removeprefix("artifacts:") for k in referred if k.startswith("artifacts:")]
    other = database.rdb.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    trial = database.rdb.create_new_trial(other)
    database.rdb.set_trial_system_attr(trial, ATTRIBUTE, ids)
    database.rdb.set_trial_state_values(trial, optuna.trial.TrialState.FAIL)
    assert database.sweep("other") == []
    assert files(tmp_path / "a_artifacts") == before


KILLED = """
import os, signal, sys
import nas_sens as ns
from nas_sens.storage.study_storage import StudyStorage
from tests.cases.test_storage import SHORT
StudyStorage._finish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
ns.search(SHORT, storage=sys.argv[1])
"""


def test_a_search_that_is_killed_behind_an_upload_leaves_nothing_once_it_is_done(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    killed = subprocess.run([sys.executable, "-c", KILLED, url(tmp_path)], env=environment, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    place = tmp_path / "a_artifacts"
    left = files(place)
    assert len(left) == 5  # weights, configuration, log, mistakes and drawing of one training
    database = StudyStorage(url(tmp_path))
    (trial,) = [t for t in database.rdb.get_all_trials(database.study_id("tiny")) if t.state.name == "RUNNING"]
    assert database.fail_worker("tiny", trial.user_attrs["worker"]) == 1
    told = Told()
    result = ns.search(SHORT, storage=url(tmp_path), progress=told)
    assert len(result.trials) == 3
    assert not left & files(place)
    assert len(files(place)) == 15
    assert "5 artifacts that killed workers had left were removed" in told.texts


@pytest.mark.parametrize(("gone", "n"), [("folder", 3), ("one", 1), ("none", 0)])
def test_networks_whose_files_are_gone_are_told_at_the_end_of_the_search(tmp_path: Path, gone: str, n: int) -> None:
    ns.search(SHORT, storage=url(tmp_path))
    place = tmp_path / "a_artifacts"
    if gone == "folder":
        shutil.rmtree(place)
    elif gone == "one":
        next(place.iterdir()).unlink()
    told = Told()
    ns.search(SHORT, storage=url(tmp_path), progress=told)
    found = [t for t in told.texts if "cannot be exported" in t]
    assert len(found) == bool(n)
    if n:
        assert found[0].startswith(f"{n} trained networks")
        assert str(place) in found[0]
        assert "--artifacts" in found[0]


class Deleting(Told):
    """Deletes the study, or gives it another name, when its first network is trained."""

    def __init__(self, storage: str, how: str) -> None:
        super().__init__()
        self.storage, self.how = storage, how

    def detail(self, text: str) -> None:  # type: ignore[override]
        if text.startswith("trained ") and self.how:
            how, self.how = self.how, ""
            if how == "delete":
                optuna.delete_study(study_name="tiny", storage=self.storage)
            else:
                with sqlalchemy.create_engine(self.storage).begin() as connection:
                    connection.execute(sqlalchemy.text("UPDATE studies SET study_name = 'other'"))


@pytest.mark.parametrize("how", ["delete", "rename"])
def test_a_study_that_goes_away_while_it_is_searched_is_one_line(tmp_path: Path, how: str) -> None:
    with pytest.raises(ns.StorageError, match="was deleted or renamed meanwhile") as error:
        ns.search(SHORT, storage=url(tmp_path), progress=Deleting(url(tmp_path), how))
    assert "\n" not in str(error.value)


def test_a_study_of_a_deleted_ones_name_has_its_own_networks_only(tmp_path: Path) -> None:
    old = ns.search(SHORT, storage=url(tmp_path))
    optuna.delete_study(study_name="tiny", storage=url(tmp_path))
    wide = {"depth": 1, "width": {"type": "int", "low": 40, "high": 90}, "init": "he_normal"}
    other = tiny(search_space=ns.SearchSpace(name="wide", families={"fc": wide}), train=ns.TrainSpec(epochs=1, seeds=1))
    new = ns.search(other, storage=url(tmp_path))
    assert not {c.digest for c in old.candidates} & {c.digest for c in new.candidates}
    assert len(new.trials) == 3
    assert {t.digest for t in new.trials} <= {c.digest for c in new.candidates}
    ns.export_model(url(tmp_path), "tiny", tmp_path / "net")
    assert ns.load_spec(tmp_path / "net").digest == new.best.digest


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        ("mysql://u:p%40ss%2F@h:1/db?charset=utf8mb4", "mysql+pymysql://u:p%40ss%2F@h:1/db?charset=utf8mb4"),
        ("mariadb://u@h/db", "mariadb+pymysql://u@h/db"),
        ("mysql+mysqldb://u@h/db", "mysql+mysqldb://u@h/db"),
        ("postgresql+psycopg2://u@h/db", "postgresql+psycopg2://u@h/db"),
        ("sqlite:///a b.db", "sqlite:///a b.db"),
    ],
)
def test_a_url_without_a_driver_takes_the_installed_one(given: str, opened: str) -> None:
    if "pymysql" in opened:
        pytest.importorskip("pymysql")
    assert with_driver(given) == opened
