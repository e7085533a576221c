"""The score of a network in somebody's own study: what it is, where it goes, and what it leaves alone."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import FixedTrial
from torch import nn

import nas_sens.optuna as no
from nas_sens.architectures.initialization import initialize_
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.output_sensitivity import output_sensitivity
from nas_sens.own_study.attributes import PREFIX
from tests.own_study.tiny_objective import X
from tests.untouched import assert_untouched, snapshot

PLAIN = {"log10_sensitivity", "stderr", "log10_relative_sensitivity", "params", "flops", "layers", "family", "probe"}


def mlp(width=8, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def attributes(network, x=X, **options):
    trial = FixedTrial({})
    no.score(trial, network, x, **options)
    return {name.removeprefix(PREFIX): value for name, value in trial.user_attrs.items()}


def test_attributes_are_flat_and_say_what_the_network_is():
    found = attributes(mlp())
    assert set(found) == PLAIN
    assert (found["params"], found["flops"], found["layers"]) == (3 * 8 + 8 + 8 * 2 + 2, 2 * (3 * 8 + 8 * 2), 2)
    assert (found["family"], found["probe"]) == ("Linear", "standard_normal")


def test_the_sensitivity_is_that_of_standard_normal_networks():
    found, values = attributes(mlp(64), seeds=64), []
    for seed in range(64):
        network, generator = mlp(64), torch.Generator().manual_seed(seed)
        initialize_(network, "standard_normal", generator=generator)
        values.append(output_sensitivity(network, X, generator=generator, n_noise=8))
    expected = math.log10(sum(values) / len(values))
    assert abs(found["log10_sensitivity"] - expected) < 4 * math.hypot(found["stderr"], found["stderr"])
    assert 0.01 < found["stderr"] < 0.2


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_the_relative_sensitivity_has_no_scale(factor):
    class Scaled(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * factor

    plain, scaled = attributes(mlp()), attributes(Scaled(*mlp()))
    assert scaled["log10_relative_sensitivity"] == pytest.approx(plain["log10_relative_sensitivity"], abs=1e-4)
    assert scaled["log10_sensitivity"] == pytest.approx(plain["log10_sensitivity"] + 2 * math.log10(factor), abs=1e-4)


def test_the_score_is_of_the_architecture_whatever_weights_and_random_states_it_meets():
    first = attributes(mlp(seed=0))
    torch.manual_seed(77)
    assert attributes(mlp(seed=5)) == first
    assert attributes(mlp(16)) != first


def test_network_and_random_states_are_left_as_they_were():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2)).train()
    network[0].weight.requires_grad_(False)
    network[4].weight.grad = torch.ones_like(network[4].weight)
    before = snapshot(network)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    attributes(network)
    assert_untouched(network, before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


def test_layers_without_a_rule_are_measured_with_their_own_weights_and_compared_with_each_other():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    found = attributes(Recurrent(), torch.randn(8, 5, 3))
    assert found["probe"] == "own weights"
    assert found["family"] == "LSTM+Linear (own weights)"
    assert "log10_sensitivity" in found


class Fails(nn.Linear):
    def forward(self, x):
        raise RuntimeError("no such thing\nsecond line")


class Dead(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 0


class Endless(nn.Linear):
    def forward(self, x):
        return super().forward(x) / 0


@pytest.mark.parametrize(("network", "text"), [(Fails, "no such thing"), (Dead, "dead: "), (Endless, "networks is ")])
def test_what_cannot_be_measured_is_said_in_one_line_and_the_study_goes_on(network, text):
    trial = FixedTrial({})
    with pytest.warns(UserWarning, match="trial 0: "):
        found = no.score(trial, network(3, 2), X)
    assert text in found.problem
    assert "\n" not in found.problem
    assert trial.user_attrs["nas_sens:problem"] == found.problem
    assert "nas_sens:log10_sensitivity" not in trial.user_attrs
    assert trial.user_attrs["nas_sens:params"] == 8
    json.dumps(trial.user_attrs, allow_nan=False)


@pytest.mark.parametrize(
    ("network", "x", "options", "text"),
    [
        (lambda x: x, X, {}, "torch.nn.Module; given function"),
        (nn.Linear(3, 2), [[1.0]], {}, "at least 2 inputs; given list"),
        (nn.Linear(3, 2), X[:1], {}, "at least 2 inputs; given shape (1, 3)"),
        (nn.Linear(3, 2), X, {"seeds": 0}, "seeds must be at least 1; given 0"),
        (nn.Linear(3, 2), X, {"metrics": ["naswott"]}, "naswot"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(network, x, options, text):
    trial = FixedTrial({})
    with pytest.raises(InvalidInputError, match=r".") as caught:
        no.score(trial, network, x, **options)
    assert text in str(caught.value)
    assert not trial.user_attrs


def test_further_measures_and_a_family_of_ones_own():
    found = attributes(mlp(), y=torch.arange(8) % 2, metrics=["l2_norm", "snip"], family="mine")
    assert set(found) == PLAIN | {"measure_l2_norm", "measure_snip"}
    assert found["family"] == "mine"


def test_a_trial_of_a_study_has_them_too():
    study = optuna.create_study()
    trial = study.ask()
    found = no.score(trial, mlp(), X)
    assert study.trials[0].user_attrs == trial.user_attrs == found.attributes


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(50, 4), nn.GRU(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        states, _ = self.body(self.embedding(tokens))
        return {"classes": self.head(states[:, -1]), "states": states}


def test_tokens_and_one_of_several_outputs_are_scored():
    tokens = torch.randint(0, 50, (16, 12), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = Reader()
    of_classes, of_states = (
        no.score(optuna.trial.FixedTrial({}), model, tokens, output=name) for name in ("classes", "states")
    )
    assert of_classes.log10_sensitivity != of_states.log10_sensitivity
    behind = no.score(optuna.trial.FixedTrial({}), model, tokens, output="classes", noise_at="embedding")
    assert behind == of_classes
    with pytest.warns(UserWarning, match="say which numbers are meant"):
        assert no.score(optuna.trial.FixedTrial({}), model, tokens).log10_sensitivity is None
