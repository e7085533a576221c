"""What is enqueued before anything is trained, and afterwards."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution

import nas_sens.optuna as no
from nas_sens.core.errors import InvalidInputError
from tests.own_study.tiny_objective import X, build, end_of, quiet

SPACE = {"width": IntDistribution(2, 64, log=True), "lr": FloatDistribution(1e-4, 1e-1, log=True)}


def test_before_anything_is_trained_the_prior_chooses():
    study = quiet(sampler=optuna.samplers.RandomSampler(seed=0))
    chosen = no.enqueue(study, SPACE, build, X, n_pool=60, n=6)
    waiting = study.get_trials(states=(optuna.trial.TrialState.WAITING,))
    assert [t.system_attrs["fixed_params"] for t in waiting] == chosen
    assert all("more capacity being better mostly" in t.user_attrs["nas_sens:reason"] for t in waiting)
    assert chosen[0]["kind"] == "mlp"
    assert chosen[0]["width"] > 30


def test_they_run_as_they_were_enqueued():
    study = quiet(sampler=optuna.samplers.RandomSampler(seed=0))
    chosen = no.enqueue(study, SPACE, build, X, n_pool=20, n=3)

    def objective(trial):
        build(trial)
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        return end_of(trial.params)

    study.optimize(objective, n_trials=3)
    assert [t.params for t in study.trials] == chosen
    assert all(t.user_attrs["nas_sens:params"] > 0 for t in study.trials)


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_of_a_study_that_has_trained_the_promising_ones(direction, sign):
    study = quiet(direction=direction, sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(lambda trial: (build(trial), sign * end_of(trial.params))[1], n_trials=12)
    chosen = no.enqueue(study, {}, build, X, n_pool=60, n=4)
    assert "expected improvement" in study.trials[-1].user_attrs["nas_sens:reason"]
    assert np.mean([end_of(c) for c in chosen]) < np.quantile([sign * t.value for t in study.trials[:12]], 0.25)
    assert not [c for c in chosen if c in [t.params for t in study.trials[:12]]]


def test_a_second_call_enqueues_others():
    study = quiet(directions=["minimize", "maximize"])
    first, second = (no.enqueue(study, {}, build, X, n_pool=30, n=4) for _ in range(2))
    assert not [c for c in second if c in first]


def test_fewer_where_there_are_no_more():
    study = quiet()
    assert len(no.enqueue(study, {"width": IntDistribution(2, 2)}, build, X, n_pool=40, n=10)) == 3


def broken(trial):
    raise ValueError(f"no {trial.suggest_int('a', 1, 2) * 0}")


@pytest.mark.parametrize(
    ("space", "function", "options", "text"),
    [
        ({}, build, {"n": 0}, "n = 0, n_pool = 500"),
        ({"width": (2, 64)}, build, {}, r"space\['width'\] must be a distribution .* given tuple"),
        ({}, broken, {"n_pool": 3}, "none of 3 networks can be built; .*ValueError: no 0; correct build or space"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_enqueued(space, function, options, text):
    study = quiet()
    with pytest.raises(InvalidInputError, match=text):
        no.enqueue(study, space, function, X, **options)
    assert not study.trials
