"""Several attributes of a trial in one transaction are those that Optuna would have written."""

from __future__ import annotations

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import InMemoryStorage

from nas_sens.storage.user_attributes import set_user_attributes


def opened(name, folder):
    return optuna.create_study(storage=InMemoryStorage() if name == "memory" else f"sqlite:///{folder}/study.db")


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_they_are_there_and_replace_earlier_ones(name, tmp_path):
    study = opened(name, tmp_path)
    trial, other = study.ask(), study.ask()
    trial.set_user_attr("b", 0)
    other.set_user_attr("b", 7)
    set_user_attributes(study._storage, trial._trial_id, {"a": 1.5, "b": "text"})
    set_user_attributes(study._storage, trial._trial_id, {})
    study.tell(trial, 1.0)
    assert [t.user_attrs for t in study.trials] == [{"a": 1.5, "b": "text"}, {"b": 7}]


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_a_trial_that_has_ended_is_left_as_it_is(name, tmp_path):
    study = opened(name, tmp_path)
    trial = study.ask()
    study.tell(trial, 1.0)
    with pytest.raises(UpdateFinishedTrialError):
        set_user_attributes(study._storage, trial._trial_id, {"a": 1})
    assert study.trials[0].user_attrs == {}


def test_it_is_one_transaction(tmp_path):
    study = opened("sqlite", tmp_path)
    trial, commits = study.ask(), []
    sqlalchemy.event.listen(study._storage._backend.engine, "commit", lambda _: commits.append(1))
    set_user_attributes(study._storage, trial._trial_id, dict.fromkeys("abcdef", 1))
    assert len(commits) == 1
