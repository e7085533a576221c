"""What the dashboard is shown of large studies."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas_sens.dashboard.excerpt import excerpt_of
from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import ATTRIBUTES, DISTRIBUTIONS, scored, trained


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    storage = StudyStorage(f"sqlite:///{tmp_path}/s.db")
    storage.create("study", ATTRIBUTES)
    dead = {"log10_sensitivity": None, "stderr": None, "status": "dead: S = 0"}
    storage.add_scored("study", [(scored(i, **(dead if i % 7 == 0 else {})), DISTRIBUTIONS) for i in range(1, 41)])
    return storage


def test_a_small_study_is_shown_whole(storage: StudyStorage) -> None:
    shown = optuna.load_study(study_name="study", storage=excerpt_of(storage))
    assert [t.number for t in shown.trials] == list(range(40))


def test_a_large_study_is_a_random_sample_with_what_was_trained(storage: StudyStorage) -> None:
    candidates = storage.scored("study")
    by_digest = sorted(candidates, key=lambda c: c.digest)
    source = by_digest[-1]
    storage.add_trained("study", trained(source), source, {})
    part = excerpt_of(storage, at_most=12)
    shown = optuna.load_study(study_name="study", storage=part)
    expected = sorted(c.number or 0 for c in (*by_digest[:12], source))
    assert [t.number for t in shown.trials] == expected
    assert shown.trials[0] == optuna.load_study(study_name="study", storage=storage.url).trials[expected[0]]
    complete = part.get_all_trials(shown._study_id, states=(TrialState.COMPLETE,))
    assert 0 < len(complete) < 13
    assert {t.state for t in complete} == {TrialState.COMPLETE}
    storage.add_scored("study", [(scored(99), DISTRIBUTIONS)])
    assert len(shown.trials) == 13, "a larger study is looked at again"
    assert len(optuna.load_study(study_name="study/train", storage=part).trials) == 1
    shown.set_user_attr("note", "mine")
    assert optuna.load_study(study_name="study", storage=storage.url).user_attrs["note"] == "mine"
