"""What the dashboard is shown of large studies."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas_sens import excerpt
from nas_sens.records import TrainedCandidate
from nas_sens.storage import StudyStorage

from .test_storage import ATTRIBUTES, DISTRIBUTIONS, scored


@pytest.fixture
def storage(tmp_path: Path) -> StudyStorage:
    storage = StudyStorage(f"sqlite:///{tmp_path}/s.db")
    storage.create("study", ATTRIBUTES)
    dead = {"log10_sensitivity": None, "stderr": None, "status": "dead: S = 0"}
    storage.add_scored("study", [(scored(i, **(dead if i % 7 == 0 else {})), DISTRIBUTIONS) for i in range(1, 41)])
    return storage


def test_a_small_study_is_shown_whole(storage: StudyStorage) -> None:
    shown = optuna.load_study(study_name="study", storage=storage.excerpt())
    assert [t.number for t in shown.trials] == list(range(40))


def test_a_large_study_is_a_random_sample_with_what_was_trained(
    storage: StudyStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excerpt, "AT_MOST", 12)
    candidates = storage.scored("study")
    by_digest = sorted(candidates, key=lambda c: c.digest)
    source = by_digest[-1]
    record = TrainedCandidate(
        digest=source.digest, architecture=source.architecture, params=1, flops=1, source_trial=source.number or 0,
        chosen_by="random", val_loss=1.0,
    )  # fmt: skip
    storage.add_trained("study", record, source, {})
    part = storage.excerpt()
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
