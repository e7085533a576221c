"""What is used of Optuna and optuna-dashboard past their documented interfaces is there, in the installed versions.

`dashboard.saved_notes` gives optuna-dashboard objects that stand for trials and figures, `dashboard.excerpt` stands for
a storage and reads by a method of Optuna's own, and `storage.bulk_write`, `storage.bulk_read` and
`storage.running_trials` know Optuna's tables.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
import sqlalchemy
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna_dashboard import get_note, save_note, save_plotly_graph_object

from nas_sens.dashboard.excerpt import Excerpt
from nas_sens.storage.schema import is_known_schema


@pytest.fixture
def storage(tmp_path: Path) -> RDBStorage:
    return RDBStorage(f"sqlite:///{tmp_path}/a.db")


@pytest.fixture
def study(storage: RDBStorage) -> optuna.Study:
    study = optuna.create_study(storage=storage, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    return study


def test_a_note_of_a_stand_in_is_that_of_the_trial(study: optuna.Study) -> None:
    trial = study.ask()
    save_note(trial, "of the trial itself")
    stand_in = SimpleNamespace(storage=study._storage, study=study, _trial_id=trial._trial_id)
    assert get_note(stand_in) == "of the trial itself"
    save_note(stand_in, "of who stands for it")
    assert get_note(trial) == "of who stands for it"
    assert get_note(study) == "", "a trial's note is not the study's"
    keys = {k for k in study._storage.get_study_system_attrs(study._study_id) if "note_ver" in k}
    assert keys == {f"dashboard:{trial._trial_id}:note_ver"}, "by which notes are found again"


def test_a_plot_needs_no_more_than_its_json(study: optuna.Study) -> None:
    text = '{"data": [], "layout": {}}'
    save_plotly_graph_object(study, SimpleNamespace(to_json=lambda: text), graph_object_id="mine")
    attributes = study._storage.get_study_system_attrs(study._study_id)
    assert attributes["dashboard:plot_data:mine:0"] == text


def test_chosen_trials_are_read_as_all_are(storage: RDBStorage, study: optuna.Study) -> None:
    wanted = {t._trial_id for t in study.trials[1:]}
    found = storage._get_trials(study._study_id, None, wanted, max(wanted))
    assert sorted(t._trial_id for t in found if t._trial_id in wanted) == sorted(wanted)
    assert [t for t in found if t._trial_id in wanted] == study.trials[1:]


def test_who_stands_for_a_storage_is_taken_for_one(storage: RDBStorage, study: optuna.Study) -> None:
    excerpt = Excerpt(storage, storage, at_most=2)
    assert isinstance(excerpt, BaseStorage)
    abstract = {name for name in BaseStorage.__abstractmethods__ if not hasattr(excerpt, name)}
    assert not abstract
    assert len(optuna.load_study(study_name="s", storage=excerpt).trials) == 3, "those of others are not left out"


def test_the_tables_are_those_that_are_written_and_read() -> None:
    assert is_known_schema()
    columns = {
        "TrialModel": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
        "TrialParamModel": {"trial_id", "param_name", "param_value", "distribution_json"},
        "TrialValueModel": {"trial_id", "objective", "value", "value_type"},
        "TrialUserAttributeModel": {"trial_id", "key", "value_json"},
        "TrialSystemAttributeModel": {"trial_id", "key", "value_json"},
        "TrialHeartbeatModel": {"trial_id", "heartbeat"},
        "TrialIntermediateValueModel": {"trial_id", "step", "intermediate_value", "intermediate_value_type"},
    }
    for name, wanted in columns.items():
        table: sqlalchemy.Table = getattr(models, name).__table__
        own_key = {c.name for c in table.primary_key} - {"trial_id"}
        assert {c.name for c in table.columns} - own_key == wanted, name
    assert "template_trial" in inspect.signature(RDBStorage.create_new_trial).parameters
