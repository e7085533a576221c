"""Records survive the database, Optuna's public interface reads them, and failures are one line."""

from __future__ import annotations

import copy
import os
import pickle
import sqlite3
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

import nas_sens as ns
from nas_sens.core.candidates import ScoredCandidate, TrainedCandidate
from nas_sens.core.secrets import hide_password
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.storage.url import default_artifacts
from tests.stored_candidates import (
    ATTRIBUTES,
    DISTRIBUTIONS,
    new_study,
    scored,
    store_training,
    trained,
    trainings_in,
)


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    return new_study(f"sqlite:///{tmp_path}/s.db")


def test_scored_candidates_come_back_as_they_were(storage: StudyStorage) -> None:
    dead = scored(3, log10_sensitivity=None, stderr=None, status="dead: S = 0")
    infeasible = scored(4, log10_sensitivity=None, stderr=None, estimator=None, flops=None, feasible=False, status="in")
    given = [scored(1), scored(2, stderr=None), dead, infeasible]
    storage.add_scored("study", [(c, DISTRIBUTIONS) for c in given])
    assert StudyStorage(storage.url).scored("study") == [replace(c, number=i) for i, c in enumerate(given)]
    states = [t.state.name for t in optuna.load_study(study_name="study", storage=storage.url).trials]
    assert states == ["PRUNED", "PRUNED", "FAIL", "FAIL"]


@pytest.mark.parametrize("is_bulk", [True, False])
def test_candidates_share_no_mapping(storage: StudyStorage, is_bulk: bool) -> None:
    storage.add_scored("study", [(scored(i), DISTRIBUTIONS) for i in (1, 2)])
    one, other = StudyStorage(storage.url, bulk=is_bulk).scored("study")
    for mapping in (one.measures, one.training, one.measure_problems, one.params_sampled):
        assert mapping == {}
        with pytest.raises(TypeError):
            mapping["mine"] = 1.0  # type: ignore[index]
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - written here
    with_one = replace(scored(3), measures={"grad_norm": 1.0})
    storage.add_scored("study", [(with_one, DISTRIBUTIONS)])
    found = StudyStorage(storage.url, bulk=is_bulk).scored("study")
    assert [c.measures for c in found] == [{}, {}, {"grad_norm": 1.0}]
    assert other == found[1]
    assert ScoredCandidate(digest="", architecture="").measures == {}


def test_a_candidate_is_stored_once(storage: StudyStorage) -> None:
    other = StudyStorage(storage.url)  # as another process would have it open
    assert other.scored("study") == []
    storage.add_scored("study", [(scored(1), DISTRIBUTIONS)])
    other.add_scored("study", [(scored(1), DISTRIBUTIONS), (scored(2), DISTRIBUTIONS)])
    assert [c.params for c in storage.scored("study")] == [1, 2]


def test_trained_candidates_and_artifacts_come_back(storage: StudyStorage, tmp_path: Path) -> None:
    storage.add_scored("study", [(scored(5), DISTRIBUTIONS)])
    source = storage.scored("study")[0]
    record = TrainedCandidate(
        digest=source.digest,
        architecture=source.architecture,
        params=5,
        flops=10,
        candidate=0,
        chosen_by="pareto",
        reason="because",
        n_seeds=2,
        **{k: 0.1 * i for i, k in enumerate(("val_loss", "val_error", "test_loss", "test_error"), 1)},
        curve=(3.0, 2.0, 0.1),
        seconds=1.5,
    )
    (tmp_path / "weights.bin").write_bytes(b"\x00weights")
    stored = store_training(storage, record, {"model.safetensors": tmp_path / "weights.bin"})
    others = [
        replace(record, status="diverged", val_loss=None, curve=()),
        replace(record, status="pruned: after epoch 2", val_loss=None, curve=(3.0, 2.0)),
    ]
    failed, pruned = (store_training(storage, r) for r in others)
    assert StudyStorage(storage.url).trained("study") == [stored, failed, pruned]
    assert [stored, failed, pruned] == [replace(r, number=n) for n, r in enumerate([record, *others], 1)]

    study = optuna.load_study(study_name="study", storage=storage.url)
    assert [t.state.name for t in study.trials] == ["PRUNED", "COMPLETE", "FAIL", "PRUNED"]
    assert study.trials[1].intermediate_values == {1: 3.0, 2: 2.0, 3: 0.1}
    assert study.trials[1].params == {"width": 5}
    assert (study.trials[1].value, study.best_trial.number) == (record.val_loss, 1)
    metas = optuna.artifacts.get_all_artifact_meta(study.trials[1], storage=study._storage)
    assert [(m.filename, m.mimetype) for m in metas] == [("model.safetensors", "application/octet-stream")]

    storage.fetch_artifact("study", 1, "model.safetensors", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"\x00weights"
    with pytest.raises(ns.StorageError, match="no artifact"):
        storage.fetch_artifact("study", 2, "model.safetensors", tmp_path / "back")
    next(storage.artifacts.folder.iterdir()).unlink()
    with pytest.raises(ns.StorageError, match="--artifacts"):
        storage.fetch_artifact("study", 1, "model.safetensors", tmp_path / "back")


def test_the_objective_of_a_study_stays(storage: StudyStorage) -> None:
    storage.create("study", ATTRIBUTES, objective="test_loss")
    assert storage.objective("study") == "val_loss"
    assert optuna.load_study(study_name="study", storage=storage.url).metric_names == ["val_loss"]


@pytest.mark.parametrize(
    ("objective", "values", "expected"),
    [
        ("val_loss", {"val_loss": 1.0, "val_error": 0.1}, 1.0),
        ("val_error", {"val_loss": 1.0, "val_error": 0.1}, 0.1),
        ("test_error", {"val_loss": 1.0, "val_error": 0.1}, 1.0),  # a table of outcomes may lack it
        ("test_error", {"val_loss": None, "val_error": 0.1}, 0.1),
    ],
)
def test_the_value_of_a_training_is_the_objective(
    tmp_path: Path, objective: str, values: dict[str, float | None], expected: float
) -> None:
    storage = StudyStorage(f"sqlite:///{tmp_path}/s.db")
    storage.create("study", ATTRIBUTES, objective=objective)
    storage.add_scored("study", [(scored(5), DISTRIBUTIONS)])
    store_training(storage, trained(storage.scored("study")[0], **values))
    storage.add_trained("study", [trained(storage.scored("study")[0], **values)], seen=storage.trainings("study"))
    trials = trainings_in(storage.url)
    assert [t.value for t in trials] == [expected, expected]
    assert [t.params for t in trials] == [{"width": 5}] * 2


def test_artifacts_lie_beside_the_sqlite_file() -> None:
    assert default_artifacts("sqlite:////data/my.db") == Path("/data/my_artifacts")
    assert default_artifacts("postgresql://u:p@host/db") == Path("nas_sens_artifacts")


def test_passwords_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("postgresql://me:s3cret@localhost:1/db", "nonsense://me:s3cret@localhost/db"):
        assert "s3cret" not in hide_password(url)
        with pytest.raises(ns.NasSensError) as error:
            StudyStorage(url)
        assert "s3cret" not in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["nas_sens.db", "", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/folder/a.db"]
)
def test_unusable_urls_are_wrong_input(url: str) -> None:
    with pytest.raises(ns.InvalidInputError) as error:
        StudyStorage(url)
    assert "\n" not in str(error.value)


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(ns.InvalidInputError, match="no database"):
        StudyStorage(f"sqlite:///{tmp_path}/none.db", must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_database_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but long enough to be looked at " * 50)
    before = (tmp_path / "a.db").read_bytes()
    with pytest.raises(ns.StorageError, match="not a database"):
        StudyStorage(f"sqlite:///{tmp_path}/a.db")
    assert (tmp_path / "a.db").read_bytes() == before


def test_studies_of_others_are_not_touched(storage: StudyStorage) -> None:
    optuna.create_study(study_name="theirs", storage=storage.url)
    assert storage.study_names() == ["study"]
    with pytest.raises(ns.InvalidInputError, match="not made by nas_sens"):
        storage.attributes("theirs")
    with pytest.raises(ns.InvalidInputError, match=r"no study 'none'.*study"):
        storage.attributes("none")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_is_one_line(storage: StudyStorage, tmp_path: Path) -> None:
    os.chmod(tmp_path / "s.db", 0o400)
    with pytest.raises(ns.StorageError, match="readonly"):
        storage.add_scored("study", [(scored(1), DISTRIBUTIONS)])


def test_a_locked_database_is_one_line_and_intact(storage: StudyStorage, tmp_path: Path) -> None:
    other = StudyStorage(storage.url, timeout=0.1)
    with sqlite3.connect(tmp_path / "s.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ns.StorageError, match="database is locked") as error:
            other.add_scored("study", [(scored(1), DISTRIBUTIONS)])
        connection.rollback()
    assert "\n" not in str(error.value)
    assert other.scored("study") == []
    other.add_scored("study", [(scored(1), DISTRIBUTIONS)])
    assert len(storage.scored("study")) == 1
