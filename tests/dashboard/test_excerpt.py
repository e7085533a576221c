"""What the dashboard is shown of large studies."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas_sens.dashboard.excerpt import excerpt_of
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import DISTRIBUTIONS, new_study, scored, store_training, trained


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    storage = new_study(f"sqlite:///{tmp_path}/s.db")
    dead = {"log10_sensitivity": None, "stderr": None, "status": "dead: S = 0"}
    storage.add_scored("study", [(scored(i, **(dead if i % 7 == 0 else {})), DISTRIBUTIONS) for i in range(1, 41)])
    return storage


def test_a_small_study_is_shown_whole(storage: StudyStorage) -> None:
    shown = optuna.load_study(study_name="study", storage=excerpt_of(storage))
    assert [t.number for t in shown.trials] == list(range(40))


def test_a_study_of_the_same_identifier_is_another_one(storage: StudyStorage) -> None:
    part = excerpt_of(storage, at_most=12)
    before = optuna.load_study(study_name="study", storage=part)
    assert len(before.trials) == 12
    optuna.delete_study(study_name="study", storage=part)
    again = new_study(storage.url)
    again.add_scored("study", [(scored(i), DISTRIBUTIONS) for i in range(41, 81)])
    after = optuna.load_study(study_name="study", storage=part)
    assert after._study_id == before._study_id
    whole = optuna.load_study(study_name="study", storage=storage.url).trials
    assert len(after.trials) == 12
    assert all(t == whole[t.number] for t in after.trials)


def test_a_large_study_is_a_random_sample_with_what_was_trained(storage: StudyStorage) -> None:
    candidates = storage.scored("study")
    by_digest = sorted(candidates, key=lambda c: c.digest)
    source = by_digest[-1]
    done = store_training(storage, trained(source, curve=(2.0, 1.0)))
    storage.enqueue("study", [trained(c) for c in by_digest[-3:-1]], seen=storage.trainings("study"))
    part = excerpt_of(storage, at_most=12)
    shown = optuna.load_study(study_name="study", storage=part)
    expected = [*sorted(c.number or 0 for c in by_digest[:12]), 40, 41, 42]
    assert [t.number for t in shown.trials] == expected
    everything = optuna.load_study(study_name="study", storage=storage.url).trials
    assert shown.trials == [everything[n] for n in expected]
    (complete,) = part.get_all_trials(shown._study_id, states=(TrialState.COMPLETE,))
    assert (complete.number, complete.value, complete.intermediate_values) == (done.number, 1.0, {1: 2.0, 2: 1.0})
    candidates_shown = part.get_all_trials(shown._study_id, states=(TrialState.PRUNED, TrialState.FAIL))
    assert len(candidates_shown) == 12
    storage.add_scored("study", [(scored(99), DISTRIBUTIONS)])
    assert len(shown.trials) == 15, "the sample of a study that has hardly grown stays"
    job = storage.take("study")
    assert [t.state.name for t in shown.trials[-2:]] == ["RUNNING", "WAITING"], "what is not finished is read again"
    assert job is not None
    storage.finish("study", job, trained(by_digest[-3]), {})
    assert [t.state.name for t in shown.trials[-2:]] == ["COMPLETE", "WAITING"]
    shown.set_user_attr("note", "mine")
    assert optuna.load_study(study_name="study", storage=storage.url).user_attrs["note"] == "mine"
