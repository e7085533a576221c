"""Several objectives: which networks are worth a training."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

import nas_sens.optuna as no
from nas_sens.core.errors import InvalidInputError
from nas_sens.own_study.decision import is_worth_it
from tests.own_study.tiny_objective import X, build, end_of, quiet


def test_those_that_may_improve_the_front_are_trained():
    study = quiet(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))

    def ends(params):  # narrow tanh networks are worst in both
        activation = params.get("activation") == "tanh"
        return end_of(params) + 2 * activation, -(params.get("width", 1) ** 0.5) / 8 - 2 * activation

    def objective(trial):
        no.score(trial, build(trial), X)
        if not no.should_train(trial, control=0.0, keep=0.5):
            raise optuna.TrialPruned
        return ends(trial.params)

    study.optimize(objective, n_trials=40)
    groups = {}
    for t in study.trials:
        groups.setdefault(t.user_attrs["nas_sens:group"], []).append(t)
    assert set(groups) == {"startup", "kept", "pruned"}
    tanh = {g: np.mean([t.params.get("activation") == "tanh" for t in ts]) for g, ts in groups.items()}
    assert tanh["kept"] < 0.25 < 0.5 < tanh["pruned"]
    found = groups["kept"][-1].user_attrs
    assert abs(found["nas_sens:predicted_0"] - ends(groups["kept"][-1].params)[0]) < 1
    assert abs(found["nas_sens:predicted_1"] - ends(groups["kept"][-1].params)[1]) < 1


def test_what_was_not_scored_is_trained():
    assert no.should_train(quiet(directions=["minimize", "minimize"]).ask())


def test_few_may_be_better_in_everything():
    front = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]])
    behind = np.array([[2.5, 3.5, 4.5, 5.0], [4.5, 3.5, 4.5, 5.0]])
    recent = np.hstack([front, behind])
    assert is_worth_it(np.array([0.0, 9.0]), recent, 0.5)
    assert is_worth_it(np.array([2.1, 2.9]), recent, 0.5)
    assert not is_worth_it(np.array([4.2, 4.2]), recent, 0.5)


def test_wrong_options_are_refused():
    with pytest.raises(InvalidInputError, match="keep must be a share between 0 and 1; given 2"):
        no.should_train(quiet().ask(), keep=2)
