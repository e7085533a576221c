"""Weights of samples and classes in the training loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.data.own import samples_of
from nas_sens.data.splits import split
from nas_sens.training.trainer import train
from nas_sens.training.weights import loss_weights

NETWORK = ns.FCSpec(depth=1, width=6, init="he_normal")
SPEC = ns.TrainSpec(epochs=4, batch_size="full", optimizer="sgd", learning_rate=0.1, seeds=1)


def splits_of(task: str, weights: torch.Tensor | None = None, n: int = 30) -> ns.Splits:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g)
    targets = {
        "classification": (torch.arange(n) % 5 == 0).long() + (torch.arange(n) % 3 == 0),
        "regression": x[:, :2] * 2 + 1,
        "multilabel": (x[:, :3] > 0.7).float(),
    }
    held = torch.randn(20, 4, generator=g), targets[task][:20]
    data = ns.Data(train=(x, targets[task]), val=held, test=held, task=task, weights=weights)
    return split(samples_of(data, source="f"), ns.DataSpec(name="f:f"))


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel"])
def test_equal_weights_change_nothing_and_a_weight_of_two_is_two_samples(task):
    plain = splits_of(task)
    spec = replace(SPEC, learning_rate=0.1 if task == "regression" else 2.0)
    outcome = train(NETWORK, plain, spec, seed=1)
    equal = train(NETWORK, splits_of(task, torch.full((30,), 3.0)), spec, seed=1)
    assert equal.curve == pytest.approx(outcome.curve, rel=1e-6)
    counts = torch.arange(30) % 3  # also of 0
    weighted = train(NETWORK, splits_of(task, counts.double()), spec, seed=1)
    rows = torch.repeat_interleave(torch.arange(30), counts)
    repeated = train(NETWORK, replace(plain, x_train=plain.x_train[rows], y_train=plain.y_train[rows]), spec, seed=1)
    assert weighted.curve == pytest.approx(repeated.curve, rel=1e-4)
    assert abs(weighted.curve[-1] - outcome.curve[-1]) > 1e-3


def test_balanced_classes_count_alike():
    splits = splits_of("classification")
    found = loss_weights(splits, splits.y_train, ns.TrainSpec(class_weights="balanced")).samples
    sums = torch.zeros(3).index_add_(0, splits.y_train, found)
    assert torch.allclose(sums, torch.full((3,), 10.0))
    listed = loss_weights(splits, splits.y_train, ns.TrainSpec(class_weights=(1.0, 2.0, 4.0))).samples
    assert torch.allclose(listed / listed[splits.y_train == 0][0], torch.tensor([1.0, 2.0, 4.0])[splits.y_train])
    both = replace(splits, w_train=torch.arange(30.0) / 14.5)
    together = loss_weights(both, both.y_train, ns.TrainSpec(class_weights="balanced")).samples
    assert torch.allclose(together / together.sum(), found * both.w_train / (found * both.w_train).sum())


@pytest.mark.parametrize("given", ["balanced", (1.0, 2.0, 8.0)])
def test_the_loss_is_that_of_pytorch_with_class_weights(given):
    splits = splits_of("classification")
    outcome = train(NETWORK, splits, replace(SPEC, class_weights=given, epochs=1, learning_rate=1e-12), seed=1)
    counts = torch.bincount(splits.y_train).float()
    weight = 30 / 3 / counts if given == "balanced" else torch.tensor(given)
    model = NETWORK.build(splits.input_shape, 3)
    model.load_state_dict(outcome.state)
    expected = functional.cross_entropy(model(splits.x_train), splits.y_train, weight=weight)
    assert outcome.curves["train_loss"][0] == pytest.approx(float(expected), rel=1e-5)
    plain = functional.cross_entropy(model(splits.x_val), splits.y_val)
    assert outcome.val_loss == pytest.approx(float(plain), rel=1e-5), "what is reported counts every sample once"


def test_labels_at_once_are_balanced_by_their_true_ones():
    splits = splits_of("multilabel")
    outcome = train(NETWORK, splits, replace(SPEC, class_weights="balanced", epochs=1, learning_rate=1e-12), seed=1)
    model = NETWORK.build(splits.input_shape, 3)
    model.load_state_dict(outcome.state)
    true = splits.y_train.sum(0)
    expected = functional.binary_cross_entropy_with_logits(
        model(splits.x_train), splits.y_train, pos_weight=(30 - true) / true
    )
    assert outcome.curves["train_loss"][0] == pytest.approx(float(expected), rel=1e-5)


def test_weights_go_with_samples_that_are_drawn_and_batches():
    splits = splits_of("classification", torch.arange(30.0))
    spec = replace(SPEC, samples=20, batch_size=7, optimizer="adam", learning_rate=0.01)
    a, b = (train(NETWORK, splits, spec, seed=3) for _ in range(2))
    assert a.curve == b.curve
    assert a.curve != train(NETWORK, replace(splits, w_train=None), spec, seed=3).curve


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        ("regression", "balanced", "class_weights in .train. needs classes, but data 'f:f' is for regression"),
        ("classification", (1.0, 2.0), "must be one number for each of the 3 classes of data 'f:f'; given 2"),
    ],
)
def test_class_weights_that_do_not_go_with_the_data_are_refused(task, given, message):
    with pytest.raises(InvalidInputError, match=message):
        train(NETWORK, splits_of(task), replace(SPEC, class_weights=given), seed=0)
