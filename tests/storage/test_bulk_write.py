"""Many trials at once: what Optuna's public interface reads back is what it would have written itself."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.distributions import IntDistribution
from optuna.storages import RDBStorage

from nas_sens.storage import bulk_read, bulk_write, running_trials
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import new_study, scored, store_training, trained
from tests.stored_trials import everything, trial


def make(folder: Path, name: str) -> tuple[RDBStorage, optuna.Study]:
    storage = RDBStorage(f"sqlite:///{folder}/{name}.db")
    return storage, optuna.create_study(storage=storage, study_name="s")


def test_optuna_reads_what_it_would_have_written(tmp_path: Path) -> None:
    given = [trial(i) for i in range(12)]
    (ours, study), (_, reference) = make(tmp_path, "ours"), make(tmp_path, "optuna")
    study.ask()  # a running trial of somebody else
    reference.ask()
    bulk_write.insert_trials(ours, study._study_id, given[:7])
    bulk_write.insert_trials(ours, study._study_id, given[7:])
    bulk_write.insert_trials(ours, study._study_id, [])
    for t in given:
        reference.add_trial(t)
    fresh = optuna.load_study(study_name="s", storage=ours.url)
    assert [t.number for t in fresh.trials] == list(range(13))
    assert [everything(t) for t in fresh.trials] == [everything(t) for t in reference.trials]
    for t, original in zip(fresh.trials[1:], given, strict=True):
        assert abs(t.datetime_complete - original.datetime_complete).total_seconds() < 1e-3
        assert abs(t.datetime_start - original.datetime_start).total_seconds() < 1e-3
    study.optimize(lambda t: t.suggest_int("fc.width", 1, 4096, log=True), n_trials=1)
    assert study.trials[-1].number == 13


def test_reading_is_optunas_and_goes_on_where_it_was(tmp_path: Path) -> None:
    storage, study = make(tmp_path, "a")
    bulk_write.insert_trials(storage, study._study_id, [trial(i) for i in range(5)])
    running = study.ask()  # without attributes
    study.enqueue_trial({})
    found = bulk_read.read_trials(storage, study._study_id)
    assert [(t.trial_id, t.number, t.state, t.user_attrs) for t in found] == [
        (t._trial_id, t.number, t.state, t.user_attrs) for t in study.trials
    ]
    assert len(found) == 7
    bulk_write.insert_trials(storage, study._study_id, [trial(9)])
    running.set_user_attr("mine", [1])
    newer = bulk_read.read_trials(storage, study._study_id, after=found[-1].trial_id)
    assert [t.user_attrs["digest"] for t in newer] == ["0009"]
    again = bulk_read.read_trials(
        storage, study._study_id, after=found[-1].trial_id, among=[running._trial_id, found[0].trial_id]
    )
    assert [(t.number, t.user_attrs.get("mine")) for t in again] == [(0, None), (5, [1]), (7, None)]
    assert bulk_read.count_trials(storage, study._study_id) == 8
    ids = {t.number: t._trial_id for t in study.trials}
    assert bulk_read.trial_ids(storage, study._study_id, [1, 7, 99]) == {n: ids[n] for n in (1, 7)}
    two = bulk_read.excerpt_ids(storage, study._study_id, key="digest", n=2)
    assert {t.user_attrs["digest"] for t in study.trials if t._trial_id in two} == {"0000", "0001"}


def test_a_failure_in_the_middle_stores_nothing(tmp_path: Path) -> None:
    storage, study = make(tmp_path, "a")
    bad = trial(1)
    bad.user_attrs["text"] = {1, 2}  # no JSON
    with pytest.raises(TypeError):
        bulk_write.insert_trials(storage, study._study_id, [trial(0), bad])
    assert study.trials == []


def test_databases_that_return_one_key_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, study = make(tmp_path, "a")
    monkeypatch.setattr(storage.engine.dialect, "insert_executemany_returning_sort_by_parameter_order", False)
    bulk_write.insert_trials(storage, study._study_id, [trial(i) for i in range(4)])
    assert [t.user_attrs["digest"] for t in study.trials] == [f"{i:04d}" for i in range(4)]


@pytest.mark.parametrize("is_bulk", [True, False])
def test_another_schema_is_written_through_optuna(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_bulk: bool
) -> None:
    """What is written past Optuna's interface and by it is read the same by both."""
    if not is_bulk:
        for module in (bulk_write, bulk_read, running_trials):
            for function in [n for n, f in vars(module).items() if getattr(f, "__module__", "") == module.__name__]:
                if function != "no_collection":  # of Python's
                    monkeypatch.setattr(module, function, None)
    storage = new_study(f"sqlite:///{tmp_path}/a.db", n=3, bulk=is_bulk)
    candidates = storage.scored("study")
    records = [trained(c, curve=(2.0, math.inf, math.nan, 1.0)) for c in candidates[1:]]
    stored = store_training(storage, records[0])
    assert stored.number == 3
    assert storage.add_trained("study", records[1:], seen=storage.trainings("study")) == 1
    assert storage.enqueue("study", [trained(candidates[0])], seen=storage.trainings("study")) == 1
    monkeypatch.undo()
    for other in (True, False):
        again = StudyStorage(storage.url, bulk=other)
        assert again.scored("study") == candidates
        first, second = again.trained("study")
        assert repr(first) == repr(stored)  # as not a number is not itself
        assert repr(second) == repr(replace(records[1], number=4))
        (waiting,) = again.trainings("study").underway
        assert (waiting.training.candidate, waiting.training.number, waiting.is_running) == (0, 5, False)
    assert [c.params for c in candidates] == [1, 2, 3]


def test_one_transaction_a_batch(tmp_path: Path) -> None:
    storage, study = make(tmp_path, "a")
    commits, statements = [], []
    sqlalchemy.event.listen(storage.engine, "commit", lambda _: commits.append(1))
    sqlalchemy.event.listen(storage.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    bulk_write.insert_trials(storage, study._study_id, [trial(i) for i in range(200)])
    assert len(commits) == 1
    others = [s for s in statements if not s.startswith("INSERT INTO trials ")]  # SQLite gives one key at a time
    assert len(others) < 10, "statements must not grow with every trial"


@pytest.mark.slow
def test_a_trial_takes_less_than_a_millisecond_and_no_more_in_a_large_study(tmp_path: Path) -> None:
    storage = new_study(f"sqlite:///{tmp_path}/a.db")
    seconds = []
    for start in range(1, 10_001, 500):
        batch = [(scored(i), {"width": IntDistribution(1, 100_000)}) for i in range(start, start + 500)]
        began = time.perf_counter()
        storage.add_scored("study", batch)
        seconds.append((time.perf_counter() - began) / 500)
    assert sum(seconds) / len(seconds) < 1e-3
    assert sum(seconds[-5:]) < 2 * sum(seconds[1:6])
