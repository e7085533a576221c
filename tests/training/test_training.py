"""Training: determinism, stop rule, divergence, and that the test split decides nothing."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.candidates import STATUS_OK
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import mean_and_sd, train
from nas_sens.training.limits import Limits

FC = FCSpec(depth=1, width=16, init="he_normal")
DROPOUT = FCSpec(depth=2, width=12, dropout=0.3, batch_norm=True)
SPEC = TrainSpec(epochs=3, batch_size=32)
TEST_FIGURES = {"test_loss", "test_error"}
RTOL = 1e-5


def plain(outcome, without=()):
    """Return an outcome's figures as comparable values, without the time."""
    values = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    values["state"] = {k: v.tolist() for k, v in outcome.state.items()}
    return {k: v for k, v in values.items() if k not in ("seconds", *without)}


def loaded(architecture, outcome):
    model = architecture.build((1, 8, 8), 10, generator=torch.Generator())
    model.load_state_dict(outcome.state)
    return model.eval()


@pytest.mark.parametrize("architecture", [FC, DROPOUT, CNNSpec(depth=1, channels=3, dropout=0.2)])
def test_training_is_deterministic_bit_for_bit(digits, architecture, same_global_rng):
    first = train(architecture, digits, SPEC, seed=1)
    torch.rand(5, generator=torch.Generator())
    with torch.random.fork_rng():
        torch.manual_seed(99)  # neither the global state nor what came before has a part in it
        train(FC, digits, SPEC, seed=3)
        again = train(architecture, digits, SPEC, seed=1)
    assert plain(first) == plain(again)
    assert plain(first)["state"] != plain(train(architecture, digits, SPEC, seed=2))["state"]


def test_training_is_in_training_mode_and_evaluation_is_not(digits, monkeypatch):
    modes = set()
    forward = nn.Dropout.forward

    def spy(self, x):
        modes.add((self.training, torch.is_grad_enabled()))
        return forward(self, x)

    monkeypatch.setattr(nn.Dropout, "forward", spy)
    outcome = train(DROPOUT, digits, SPEC, seed=1)
    assert modes == {(True, True), (False, False)}
    assert outcome.state["2.num_batches_tracked"] == 3 * math.ceil(200 / 32)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 200), (3, 67), (32, 7), (199, 1), (200, 1), (500, 1)])
def test_every_sample_is_used_but_for_a_single_one_left_over(digits, batch_size, steps):
    spec = CNNSpec(depth=1, channels=2, batch_norm=True)
    outcome = train(spec, digits, TrainSpec(epochs=1, batch_size=batch_size), seed=1)
    assert outcome.status == STATUS_OK
    assert outcome.state["1.num_batches_tracked"] == steps
    assert outcome.curve[0] < 4


def test_the_loss_falls_and_the_digits_are_learnt(digits):
    outcome = train(FC, digits, TrainSpec(epochs=30, learning_rate=1e-2, batch_size=32), seed=0)
    assert outcome.status == STATUS_OK
    assert len(outcome.curve) == 30
    assert outcome.curve[-1] < 0.5 * outcome.curve[0]
    assert outcome.train_error < 0.02
    assert outcome.val_error < 0.2
    assert outcome.test_error < 0.2
    assert outcome.train_loss < outcome.val_loss
    assert outcome.seconds > 0


@pytest.mark.parametrize("architecture", [FC, DROPOUT])
def test_figures_are_those_of_the_returned_weights(digits, architecture):
    outcome = train(architecture, digits, SPEC, seed=1)
    model = loaded(architecture, outcome)
    with torch.no_grad():
        for part in ("train", "val", "test"):
            logits, y = model(getattr(digits, f"x_{part}")).double(), getattr(digits, f"y_{part}")
            assert getattr(outcome, f"{part}_loss") == pytest.approx(
                float(functional.cross_entropy(logits, y)), rel=RTOL
            )
            assert getattr(outcome, f"{part}_error") == pytest.approx(float((logits.argmax(1) != y).double().mean()))
    assert outcome.val_loss == outcome.curve[-1]
    assert all(not v.requires_grad and v.device.type == "cpu" for v in outcome.state.values())


def test_evaluation_in_parts_is_evaluation_at_once(digits):
    whole = train(FC, digits, SPEC, seed=1)
    parts = train(FC, digits, SPEC, seed=1, limits=Limits(evaluation_batch=7))
    assert parts.val_loss == pytest.approx(whole.val_loss, rel=RTOL)
    assert parts.test_error == whole.test_error


@pytest.mark.parametrize("stop_loss", [None, 1.5])
def test_the_test_split_decides_nothing(digits, stop_loss):
    spec = dataclasses.replace(SPEC, stop_loss=stop_loss, stop_epochs=1, epochs=6)
    wrong = dataclasses.replace(digits, y_test=(digits.y_test + 1) % 10, x_test=digits.x_test.flip(0))
    a, b = (train(DROPOUT, d, spec, seed=1) for d in (digits, wrong))
    assert plain(a, TEST_FIGURES) == plain(b, TEST_FIGURES)
    assert a.test_error != b.test_error


def test_validation_data_do_not_enter_the_weights(digits):
    other = dataclasses.replace(digits, y_val=(digits.y_val + 1) % 10)
    a, b = (train(DROPOUT, d, SPEC, seed=1) for d in (digits, other))
    assert plain(a)["state"] == plain(b)["state"]
    assert a.curve != b.curve


def test_optimizers_and_their_settings_differ(digits):
    specs = [
        SPEC,
        dataclasses.replace(SPEC, optimizer="sgd", learning_rate=0.1),
        dataclasses.replace(SPEC, optimizer="sgd", learning_rate=0.1, momentum=0.9),
        dataclasses.replace(SPEC, weight_decay=0.1),
        dataclasses.replace(SPEC, optimizer="adamw", weight_decay=0.1),
        dataclasses.replace(SPEC, learning_rate=2e-3),
        dataclasses.replace(SPEC, batch_size=50),
    ]
    curves = [train(FC, digits, s, seed=1).curve for s in specs]
    assert len(set(curves)) == len(specs)
    # Without weight decay AdamW is Adam.
    assert train(FC, digits, dataclasses.replace(SPEC, optimizer="adamw"), seed=1).curve == curves[0]


def test_one_full_batch_step_of_sgd_by_hand(digits):
    spec = TrainSpec(epochs=1, optimizer="sgd", learning_rate=0.5, batch_size=len(digits.x_train))
    tiny = dataclasses.replace(spec, learning_rate=1e-30)  # the initial weights
    before, after = (train(FC, digits, s, seed=1) for s in (tiny, spec))
    model = loaded(FC, before)
    functional.cross_entropy(model(digits.x_train), digits.y_train).backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(after.state[name], p.detach() - 0.5 * p.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("stop_epochs", "expected"), [(1, 1), (3, 3), (10, 6)])
def test_the_stop_rule_counts_epochs_under_the_threshold(digits, stop_epochs, expected):
    spec = dataclasses.replace(SPEC, epochs=6, stop_loss=100.0, stop_epochs=stop_epochs)
    assert len(train(FC, digits, spec, seed=1).curve) == expected


def test_the_stop_rule_wants_epochs_in_a_row(digits, monkeypatch):
    losses = iter([0.5, 2.0, 0.5, 0.5, 2.0, 0.5, 0.5, 0.5, 0.5])
    passed = lambda *a: torch.tensor([next(losses), 0.0], dtype=torch.float64)  # noqa: E731
    monkeypatch.setattr("nas_sens.training.gradient_steps.GradientSteps.epoch", passed)
    spec = dataclasses.replace(SPEC, epochs=9, stop_loss=1.0, stop_epochs=3)
    assert len(train(FC, digits, spec, seed=1).curve) == 8


def test_training_stops_where_the_loss_is_small(digits):
    spec = TrainSpec(epochs=200, learning_rate=1e-2, batch_size=32, stop_loss=0.1, stop_epochs=2)
    outcome = train(FC, digits, spec, seed=0)
    assert 2 < len(outcome.curve) < 200
    assert outcome.train_loss < 0.1


def test_divergence_is_a_status(digits):
    outcome = train(FC, digits, dataclasses.replace(SPEC, optimizer="sgd", learning_rate=1e30), seed=1)
    assert outcome.status.startswith("diverged: the loss is not finite in epoch ")
    assert "lower the learning rate" in outcome.status
    assert math.isnan(outcome.val_loss)
    assert outcome.state == {}
    assert all(math.isfinite(v) for v in outcome.curve)


def test_a_single_sample_left_over_does_not_stop_batch_normalisation(digits):
    assert train(DROPOUT, digits, TrainSpec(epochs=1, batch_size=199), seed=1).status == STATUS_OK


def test_batches_of_one_cannot_train_batch_normalisation(digits):
    spec = FCSpec(depth=1, width=4, batch_norm=True)
    outcome = train(spec, digits, TrainSpec(epochs=1, batch_size=1), seed=0)
    assert outcome.status.startswith("untrainable: batch normalisation")
    assert train(FCSpec(depth=1, width=4), digits, TrainSpec(epochs=1, batch_size=1), seed=0).status == "ok"


def test_sensitivity_is_measured_on_the_trained_network_in_evaluation_mode(digits):
    seen = []

    def measure(model):
        seen.append((model.training, torch.is_inference_mode_enabled(), model[1].weight.tolist()))
        return torch.tensor(4.0)

    outcome = train(DROPOUT, digits, SPEC, seed=1, sensitivity=measure)
    assert outcome.sensitivity == 4.0
    assert seen == [(False, True, outcome.state["1.weight"].tolist())]
    assert math.isnan(train(DROPOUT, digits, SPEC, seed=1).sensitivity)


def test_progress_is_told_every_epoch(digits):
    told = []
    outcome = train(FC, digits, SPEC, seed=1, on_epoch=lambda curve: told.append(tuple(curve)))
    assert told == [outcome.curve[:n] for n in (1, 2, 3)]


def test_mean_and_sd():
    assert mean_and_sd([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_sd([5.0]) == (5.0, None)
