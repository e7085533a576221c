"""Optimizers, schedules, losses, stop rules and label noise of a training, against plain PyTorch and by hand."""

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
from nas_sens.core.device import mixed_type
from nas_sens.core.identity import make_generator
from nas_sens.core.random_state import CPU, global_stream
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.label_noise import noisy_labels
from nas_sens.training.limits import Limits
from nas_sens.training.optimizers import make_optimizer
from nas_sens.training.schedule import make_schedule
from nas_sens.training.training_run import memory_format

CUDA = torch.device("cuda")
FC = FCSpec(depth=1, width=16, init="he_normal")
FULL = TrainSpec(epochs=1, optimizer="sgd", learning_rate=0.5, batch_size="full")
TINY = 1e-30  # a learning rate that leaves the weights as they are


def model_of(outcome):
    model = FC.build((1, 8, 8), 10, generator=torch.Generator())
    model.load_state_dict(outcome.state)
    return model


def initial(digits, seed=1):
    return model_of(train(FC, digits, dataclasses.replace(FULL, learning_rate=TINY), seed=seed))


OPTIMIZERS = [
    (TrainSpec(optimizer="adam", weight_decay=0.01), lambda p: torch.optim.Adam(p, 1e-3, weight_decay=0.01)),
    (TrainSpec(optimizer="adamw", weight_decay=0.1), lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1)),
    (
        TrainSpec(optimizer="sgd", learning_rate=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    (
        TrainSpec(optimizer="rmsprop", momentum=0.5, weight_decay=0.01),
        lambda p: torch.optim.RMSprop(p, 1e-3, momentum=0.5, weight_decay=0.01),
    ),
]


@pytest.mark.parametrize(("spec", "plain"), OPTIMIZERS, ids=[s.optimizer for s, _ in OPTIMIZERS])
def test_training_is_a_plain_loop(digits, spec, plain):
    spec = dataclasses.replace(spec, epochs=3, batch_size=50)
    outcome = train(FC, digits, spec, seed=1)
    model = initial(digits)
    optimizer = plain(model.parameters())
    order = make_generator("order of samples", FC.digest, 1)
    losses, errors = [], []
    for _ in range(3):
        loss_sum = wrong = 0.0
        for rows in torch.randperm(200, generator=order).split(50):
            optimizer.zero_grad()
            logits = model(digits.x_train[rows])
            loss = functional.cross_entropy(logits, digits.y_train[rows])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(rows)
            wrong += (logits.argmax(1) != digits.y_train[rows]).sum().item()
        losses.append(loss_sum / 200)
        errors.append(wrong / 200)
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(outcome.state[name], weights, atol=2e-6, rtol=1e-4)
    assert outcome.curves["train_loss"] == pytest.approx(losses, rel=1e-5)
    assert outcome.curves["train_error"] == pytest.approx(errors)
    assert outcome.curves["val_error"][-1] == outcome.val_error


def test_lbfgs_is_pytorchs(digits):
    spec = TrainSpec(epochs=3, optimizer="lbfgs", learning_rate=1.0, batch_size="full")
    outcome = train(FC, digits, spec, seed=1)
    model = initial(digits)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=1.0, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(digits.x_train), digits.y_train)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(3)]
    # Rounding grows along the search; the last loss, 7e-8, is less than float32 resolves beside the logits.
    resolved = torch.finfo(torch.float32).eps
    assert outcome.curves["train_loss"] == pytest.approx(losses, rel=0.05, abs=resolved)
    assert outcome.curves["train_loss"][0] == pytest.approx(losses[0], rel=1e-5)
    assert outcome.train_loss < 0.01  # far below what three steps of gradient descent reach


@pytest.mark.parametrize("batch_norm", [False, True])
def test_channels_last_change_nothing_but_the_speed(digits, batch_norm):
    large = {
        k: getattr(digits, k).repeat_interleave(3, 2).repeat_interleave(3, 3) for k in ("x_train", "x_val", "x_test")
    }
    splits = dataclasses.replace(digits, **large)
    spec = TrainSpec(optimizer="sgd", learning_rate=0.1, momentum=0.9, epochs=2, metrics=("jacobian_norm", "synflow"))
    network = CNNSpec(depth=2, channels=5, batch_norm=batch_norm, init="he_normal")
    fast = train(network, splits, spec, seed=1)
    plain = train(network, splits, spec, seed=1, limits=Limits(channels_last_numbers=10**9))
    for name, weights in plain.state.items():
        torch.testing.assert_close(fast.state[name], weights, atol=1e-5, rtol=1e-4)
        assert fast.state[name].is_contiguous()
    assert fast.curve == pytest.approx(plain.curve, rel=1e-4)
    assert not batch_norm or fast.curve == plain.curve  # it would lose digits, and is left as it is
    assert fast.measures == pytest.approx(plain.measures, rel=1e-4)


@pytest.mark.parametrize("size", ["full", 200, 5000])
def test_a_full_batch_is_one_step(digits, size):
    spec = CNNSpec(depth=1, channels=2, batch_norm=True)
    assert train(spec, digits, TrainSpec(epochs=2, batch_size=size), seed=1).state["1.num_batches_tracked"] == 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, lambda t: 1.0),
        ({"schedule": "cosine"}, lambda t: (1 + math.cos(math.pi * t / 8)) / 2),
        ({"schedule": "step", "decay_epochs": 3, "decay_rate": 0.5}, lambda t: 0.5 ** (t // 3)),
        ({"schedule": "multistep", "decay_epochs": (2, 5)}, lambda t: 0.1 ** ((t + 1 >= 2) + (t + 1 >= 5))),
        ({"warmup_epochs": 3}, lambda t: min(1.0, (t + 1) / 4)),
        ({"schedule": "cosine", "min_learning_rate": 0.1}, lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * t / 8)) / 2),
    ],
)
def test_schedules_by_their_formulas(values, expected):
    model = FC.build((4,), 2)
    spec = TrainSpec(optimizer="sgd", learning_rate=1.0, **values)
    optimizer = make_optimizer(model, spec)
    schedule = make_schedule(optimizer, spec, n_epochs=8)
    found = []
    for epoch in range(8):
        schedule(epoch)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([expected(t) for t in range(8)])


def test_the_schedule_decides_the_steps(digits):
    spec = dataclasses.replace(FULL, epochs=2, schedule="multistep", decay_epochs=(2,), decay_rate=TINY)
    once = train(FC, digits, FULL, seed=1)
    twice = train(FC, digits, spec, seed=1)
    assert all(torch.equal(once.state[k], twice.state[k]) for k in once.state)


def test_gradients_are_clipped_together(digits):
    before = initial(digits)
    after = model_of(train(FC, digits, dataclasses.replace(FULL, max_gradient_norm=1e-3), seed=1))
    steps = [a - b for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    assert math.sqrt(sum(float(s.detach().square().sum()) for s in steps)) == pytest.approx(0.5 * 1e-3, rel=1e-3)
    wide = train(FC, digits, dataclasses.replace(FULL, max_gradient_norm=1e6), seed=1)
    plain = train(FC, digits, FULL, seed=1)
    assert wide.curve == pytest.approx(plain.curve, rel=1e-6)


def test_mse_is_the_mean_over_classes_of_squared_distances_to_one_hot_targets(digits):
    model = initial(digits)
    outcome = train(FC, digits, dataclasses.replace(FULL, loss="mse"), seed=1)
    targets = torch.eye(10)[digits.y_train]
    loss = (model(digits.x_train) - targets).square().mean()
    loss.backward()
    assert outcome.curves["train_loss"][0] == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(outcome.state[name], p.detach() - 0.5 * p.grad, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        logits = model_of(outcome)(digits.x_val).double()
    assert outcome.val_loss == pytest.approx(float((logits - torch.eye(10)[digits.y_val]).square().mean()), rel=1e-6)
    assert outcome.val_error == pytest.approx(float((logits.argmax(1) != digits.y_val).double().mean()))


def test_brier_is_the_sum_over_classes_of_squared_distances_of_probabilities(digits):
    model = initial(digits)
    outcome = train(FC, digits, dataclasses.replace(FULL, loss="brier"), seed=1)
    loss = (model(digits.x_train).softmax(1) - torch.eye(10)[digits.y_train]).square().sum(1).mean()
    loss.backward()
    assert outcome.curves["train_loss"][0] == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, p in model.named_parameters():
        torch.testing.assert_close(outcome.state[name], p.detach() - 0.5 * p.grad, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        probabilities = model_of(outcome)(digits.x_val).double().softmax(1)
    expected = (probabilities - torch.eye(10)[digits.y_val]).square().sum(1).mean()
    assert outcome.val_loss == pytest.approx(float(expected), rel=1e-6)


def test_training_stops_at_the_error_that_was_asked_for(digits):
    spec = TrainSpec(epochs=100, learning_rate=1e-2, batch_size=32, stop_train_error=0.0)
    outcome = train(FC, digits, spec, seed=0)
    assert outcome.train_error == 0
    assert len(outcome.curve) < 100
    shorter = dataclasses.replace(spec, epochs=len(outcome.curve) - 1)
    assert train(FC, digits, shorter, seed=0).train_error > 0


def test_training_stops_when_its_time_is_over(digits):
    assert len(train(FC, digits, TrainSpec(epochs=50, max_seconds=1e-9), seed=0).curve) == 1
    assert len(train(FC, digits, TrainSpec(epochs=2, max_seconds=1e9), seed=0).curve) == 2


def test_noisy_labels_are_learnt_and_held_out_labels_stay_true(digits):
    spec = TrainSpec(epochs=150, learning_rate=1e-2, batch_size=32, label_noise=0.3, stop_train_error=0.0)
    wide = FCSpec(depth=1, width=64, init="he_normal")
    outcome = train(wide, digits, spec, seed=4)
    assert outcome.train_error == 0  # on the labels that it was trained on
    noisy = noisy_labels(digits.y_train, share=0.3, n_classes=10, generator=make_generator("label noise", 4))
    model = wide.build((1, 8, 8), 10, generator=torch.Generator())
    model.load_state_dict(outcome.state)
    model.eval()
    with torch.no_grad():
        predicted, held_out = model(digits.x_train).argmax(1), model(digits.x_val).argmax(1)
    assert torch.equal(predicted, noisy)
    assert int((predicted != digits.y_train).sum()) == 60
    assert outcome.val_error == pytest.approx(float((held_out != digits.y_val).double().mean()))


def test_noisy_epochs_come_first_and_the_true_labels_after_them(digits):
    noisy = TrainSpec(epochs=2, batch_size=32, label_noise=0.5)
    both = dataclasses.replace(noisy, epochs=3, noisy_epochs=2)
    first, whole = (train(FC, digits, s, seed=1) for s in (noisy, both))
    assert len(whole.curve) == 5
    assert whole.curve[:2] == first.curve
    # A new optimizer goes on from the weights of the first phase, on the true labels.
    model, order = model_of(first), make_generator("order of samples", FC.digest, 1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(5):
        for rows in torch.randperm(200, generator=order).split(32):
            if epoch >= 2:
                optimizer.zero_grad()
                functional.cross_entropy(model(digits.x_train[rows]), digits.y_train[rows]).backward()
                optimizer.step()
    for name, weights in model.state_dict().items():
        torch.testing.assert_close(whole.state[name], weights, atol=2e-6, rtol=1e-4)
    with torch.no_grad():
        loss = functional.cross_entropy(model(digits.x_train).double(), digits.y_train)
    assert whole.train_loss == pytest.approx(float(loss), rel=1e-4)


def test_stop_rules_wait_for_the_true_labels(digits):
    spec = TrainSpec(epochs=5, label_noise=0.5, noisy_epochs=3, stop_loss=100.0, stop_epochs=1)
    assert len(train(FC, digits, spec, seed=1).curve) == 4


def test_augmentation_changes_training_but_no_evaluation(digits):
    spec = TrainSpec(epochs=2, batch_size=32, augmentation=("translation", "rotation"), max_translation=2)
    plain, moved, again = (train(FC, digits, s, seed=1) for s in (TrainSpec(epochs=2, batch_size=32), spec, spec))
    assert moved.curve == again.curve != plain.curve
    with torch.no_grad():
        loss = functional.cross_entropy(model_of(moved)(digits.x_train).double(), digits.y_train)
    assert moved.train_loss == pytest.approx(float(loss.detach()), rel=1e-5)


def test_a_large_training_set_is_gathered_batch_by_batch(digits):
    whole = train(FC, digits, TrainSpec(epochs=2, batch_size=33), seed=1)
    limits = Limits(gathered_numbers=0, folded_batches=2)
    parts = train(FC, digits, TrainSpec(epochs=2, batch_size=33), seed=1, limits=limits)
    assert whole.curve == parts.curve
    assert whole.curves["train_error"] == pytest.approx(parts.curves["train_error"])


@pytest.mark.parametrize(
    ("is_there", "precision", "is_used"),
    [(True, "bfloat16", True), (True, "float16", False), (False, "bfloat16", False)],
)
def test_mixed_precision_on_the_cpu_is_bfloat16_where_it_has_that(digits, monkeypatch, is_there, precision, is_used):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_there, raising=False)
    plain, spec = train(FC, digits, TrainSpec(epochs=2), seed=1), TrainSpec(epochs=2, precision=precision)
    found = train(FC, digits, spec, seed=1)
    assert (found.curve != plain.curve) == is_used
    assert found.curve == pytest.approx(plain.curve, rel=0.02)
    assert train(FC, digits, spec, seed=1).curve == found.curve
    assert {v.dtype for v in found.state.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("device", "precision", "batch_norm", "expected"),
    [
        *((CUDA, p, True, torch.channels_last) for p in ("bfloat16", "float16")),
        (CUDA, "float32", False, torch.contiguous_format),
        (CPU, "bfloat16", True, torch.channels_last),
        (CPU, "float32", True, torch.contiguous_format),
    ],
)
def test_convolutions_in_mixed_precision_have_the_channels_last(monkeypatch, device, precision, batch_norm, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if batch_norm else nn.ReLU())
    is_mixed = mixed_type(device, precision) is not None
    assert memory_format(model, (3, 32, 32), device, is_mixed=is_mixed) == expected


def test_random_streams_of_other_devices_are_left_alone(digits, monkeypatch, same_global_rng):
    def refuse(*arguments):
        raise AssertionError("seeds all devices")

    for name in ("torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all"):
        monkeypatch.setattr(name, refuse)
    assert train(FCSpec(depth=1, width=4, dropout=0.5), digits, TrainSpec(epochs=1), seed=0).status == STATUS_OK
    with global_stream(5):
        first = torch.rand(3)
    with global_stream(5):
        assert torch.equal(torch.rand(3), first)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_training_on_cuda(digits, precision):
    spec = TrainSpec(epochs=20, learning_rate=1e-2, batch_size=32, precision=precision, max_gradient_norm=10.0)
    outcome = train(FC, digits.to("cuda"), spec, seed=0)
    assert outcome.status == STATUS_OK
    assert outcome.val_error < 0.3
