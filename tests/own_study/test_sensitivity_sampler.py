"""The sampler: what Optuna asks of every sampler, conditional spaces, and that it finds what is good."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import torch
from optuna.samplers import RandomSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase
from torch import nn

import nas_sens.optuna as no
from nas_sens.core.errors import InvalidInputError
from tests.own_study.tiny_objective import X, build, end_of, quiet


def width_of(trial):
    return nn.Sequential(nn.Linear(3, trial.suggest_int("own_width", 2, 6)), nn.ReLU())


@pytest.mark.slow  # half a minute
class TestAsOptunaAsks(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: no.SensitivitySampler(width_of, X, n_screen=3, seed=0)

    @pytest.fixture
    def relative_sampler(self):
        return lambda: no.SensitivitySampler(width_of, X, n_screen=3, seed=0)


def searched(n=20, objective=None, **options):
    options = {"build": build, "x": X, "n_screen": 12, "seed": 0, **options}
    study = quiet(sampler=no.SensitivitySampler(**options))

    def plain(trial):
        build(trial)
        trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        return end_of(trial.params)

    study.optimize(objective or plain, n_trials=n)
    return study


def test_it_finds_good_networks_sooner_than_chance():
    ours = [t.value for t in searched(16).trials]
    chance = quiet(sampler=RandomSampler(seed=0))
    chance.optimize(lambda trial: (build(trial), end_of(trial.params))[1], n_trials=200)
    assert np.mean(ours[6:]) < np.quantile([t.value for t in chance.trials], 0.2)


def test_parameters_are_those_of_the_network_and_no_other():
    study = searched(12)
    assert {t.params["kind"] for t in study.trials} == {"mlp", "linear"}
    for t in study.trials:
        own = {"kind", "lr"} | ({"width", "activation"} if t.params["kind"] == "mlp" else set())
        assert set(t.params) == own


def test_no_network_is_proposed_twice():
    def small(trial):
        return nn.Linear(3, trial.suggest_int("k", 1, 12))

    study = searched(12, lambda trial: float(small(trial).out_features % 5), build=small, n_screen=60)
    assert sorted(t.params["k"] for t in study.trials) == list(range(1, 13))


def test_the_same_seed_is_the_same_study():
    first, again = searched(6), searched(6)
    assert [t.params for t in first.trials] == [t.params for t in again.trials]
    assert [t.params for t in searched(6, seed=1).trials] != [t.params for t in first.trials]


def test_screening_draws_nothing_from_the_users_streams():
    study = quiet(sampler=no.SensitivitySampler(build, X, n_screen=6, seed=0))
    before = torch.get_rng_state()
    study.ask({"kind": optuna.distributions.CategoricalDistribution(["mlp", "linear"])})
    assert torch.equal(torch.get_rng_state(), before)


def test_every_trial_that_ends_is_scored():
    for t in searched(4).trials:
        assert t.user_attrs["nas_sens:params"] == sum(
            p.numel() for p in build(optuna.trial.FixedTrial(t.params)).parameters()
        )


def test_trials_of_before_teach_although_nobody_scored_them():
    earlier = quiet(sampler=RandomSampler(seed=0))
    earlier.optimize(lambda trial: (build(trial), end_of(trial.params))[1], n_trials=15)
    study = quiet(sampler=no.SensitivitySampler(build, X, n_screen=24, seed=0))
    study.add_trials(earlier.trials)
    assert end_of(study.ask(build_space(study)).params) < np.quantile([t.value for t in earlier.trials], 0.2)


def build_space(study):
    """Return the distributions of the network that the sampler proposes next, by asking for them."""
    return {
        "kind": optuna.distributions.CategoricalDistribution(["mlp", "linear"]),
        "width": optuna.distributions.IntDistribution(2, 64, log=True),
    }


def test_networks_that_cannot_be_built_are_passed_over():
    def picky(trial):
        width = trial.suggest_int("width", 1, 40)
        if width > 20:
            raise ValueError("too wide")
        return nn.Linear(3, width)

    study = searched(8, lambda trial: float(picky(trial).out_features), build=picky)
    assert {t.state.name for t in study.trials} == {"COMPLETE"}


def test_where_no_network_can_be_built_the_objective_says_so(caplog):
    def broken(trial):
        trial.suggest_int("width", 1, 4)
        raise ValueError("never works")

    optuna.logging.enable_propagation()
    with pytest.raises(ValueError, match="never works"):
        searched(1, broken, build=broken)
    optuna.logging.disable_propagation()


@pytest.mark.parametrize(("options", "text"), [({"n_screen": 0}, "n_screen must be at least 1; given 0")])
def test_wrong_options_are_refused(options, text):
    with pytest.raises(InvalidInputError, match=text):
        no.SensitivitySampler(build, X, **options)


def test_a_build_that_returns_no_network_is_refused():
    with pytest.raises(InvalidInputError, match=r"must return a torch\.nn\.Module; it returned int"):
        searched(1, build=lambda trial: trial.suggest_int("a", 1, 2))
