"""Smoothing, mixing, averages, layers, accumulation and timm's transforms, each against a twin by hand."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from PIL import Image
from torch.nn import functional

import nas_sens as ns
from nas_sens.core.identity import make_generator
from nas_sens.core.random_state import global_stream
from nas_sens.data.pictures import Pictures
from nas_sens.training import train
from nas_sens.training.mixing import make_mixing
from nas_sens.training.training_run import TrainingRun
from tests.picture_folder import make_folder

NET = ns.FCSpec(depth=2, width=12, init="he_normal")
CNN = ns.CNNSpec(depth=1, channels=4, kernel=3, padding=1, init="he_normal", batch_norm=True)
PLAIN = {"epochs": 1, "optimizer": "sgd", "learning_rate": 0.1, "batch_size": "full"}


def run_of(digits, **options):
    return TrainingRun(NET, digits, ns.TrainSpec(**{**PLAIN, **options}), seed=3)


@pytest.fixture(scope="module")
def small(digits):
    return replace(digits, x_train=digits.x_train[:50], y_train=digits.y_train[:50])


def test_smoothed_labels_are_in_the_loss_that_is_trained_and_in_no_other(small):
    run, plain = run_of(small, label_smoothing=0.2), run_of(small)
    outputs = run.model(small.x_train)
    expected = functional.cross_entropy(outputs, small.y_train, label_smoothing=0.2)
    gradient = torch.autograd.grad(expected, list(run.model.parameters())[-2])[0]
    before = [p.detach().clone() for p in run.model.parameters()]
    with global_stream(0):
        run.train_epoch()
        plain.train_epoch()
    assert run.curves["train_loss"][0] == pytest.approx(float(expected.detach()))
    assert torch.allclose(before[-2] - list(run.model.parameters())[-2], 0.1 * gradient, atol=1e-6)
    held_out = functional.cross_entropy(run.model.eval()(small.x_val), small.y_val)
    assert run.curves["val_loss"][0] == pytest.approx(float(held_out.detach()), rel=1e-5)
    assert run.curves["train_loss"][0] != plain.curves["train_loss"][0]


@pytest.mark.parametrize(("batch", "accumulate"), [(8, 3), (7, 7), (25, 2), (49, 1)])
def test_accumulated_gradients_are_those_of_a_larger_batch(small, batch, accumulate):
    """50 samples: also where the last step has fewer, and where one sample is left over."""
    options = {"optimizer": "adam", "learning_rate": 1e-2, "epochs": 2}
    parts = run_of(small, batch_size=batch, accumulate=accumulate, **options)
    whole = run_of(small, batch_size=batch * accumulate, **options)
    with global_stream(0):
        for _ in range(2):
            parts.train_epoch()
            whole.train_epoch()
    for p, q in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.allclose(p, q, atol=2e-5)
    assert parts.curves["train_loss"] == pytest.approx(whole.curves["train_loss"], rel=1e-4)


def test_the_average_of_weights_is_what_is_evaluated_and_kept(small):
    spec = {"epochs": 4, "batch_size": "full"}
    run, plain = run_of(small, ema_decay=0.7, **spec), run_of(small, **spec)
    average = [p.detach().clone() for p in plain.model.parameters()]
    with global_stream(0):
        for _ in range(4):
            run.train_epoch()
            plain.train_epoch()
            average = [0.7 * a + 0.3 * p.detach() for a, p in zip(average, plain.model.parameters(), strict=True)]
    for p, a, trained in zip(run.kept.parameters(), average, run.model.parameters(), strict=True):
        assert torch.allclose(p, a, atol=1e-6)
        assert not torch.allclose(p, trained, atol=1e-6)
    held_out = functional.cross_entropy(run.kept(small.x_val), small.y_val)
    assert run.curves["val_loss"][-1] == pytest.approx(float(held_out.detach()), rel=1e-5)
    outcome = train(NET, small, ns.TrainSpec(**{**PLAIN, **spec, "ema_decay": 0.7}), seed=3)
    assert outcome.val_loss == pytest.approx(run.curves["val_loss"][-1])
    assert all(torch.equal(v, outcome.state[k]) for k, v in run.kept.state_dict().items())


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_earlier_layers_have_a_smaller_learning_rate(small, schedule):
    run = run_of(small, layer_decay=0.5, schedule=schedule, epochs=10)
    before = [p.detach().clone() for p in run.model.parameters()]
    loss = functional.cross_entropy(run.model(small.x_train), small.y_train)
    gradients = torch.autograd.grad(loss, list(run.model.parameters()))
    with global_stream(0):
        run.train_epoch()
    steps = [
        float(((b - p.detach()) / (0.1 * g))[g.abs() > 1e-4].median())
        for b, p, g in zip(before, run.model.parameters(), gradients, strict=True)
    ]
    weights = steps[::2]
    assert weights[-1] == pytest.approx(1.0, rel=0.02)
    for earlier, later in pairwise(weights):
        assert earlier == pytest.approx(later / 2, rel=0.02)


def test_layers_of_a_network_of_timm_are_those_that_it_says(small):
    """A ViT's blocks are one layer each, and embedding and read-out two more."""
    spec = ns.ViTSpec(depth=2, embed_dim=8, heads=2, patch=4)
    run = TrainingRun(spec, small, ns.TrainSpec(**{**PLAIN, "layer_decay": 0.5}), seed=0)
    groups = run._optimizer.param_groups
    assert {g["lr"] / 0.1 for g in groups} == {1.0, 0.5, 0.25, 0.125}
    assert sum(len(g["params"]) for g in groups) == len(list(run.model.parameters()))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_samples_are_mixed_with_those_before_them_and_so_are_labels(kind):
    x = torch.rand(6, 1, 8, 8)
    y = torch.arange(6)
    with global_stream(5):
        mix = make_mixing(ns.TrainSpec(**{kind: 1.0}), 6)
        mixed, shares = mix(x, y)
    own = shares[torch.arange(6), y]
    assert torch.allclose(shares.sum(1), torch.ones(6))
    assert torch.allclose(own, own[0].expand(6))
    assert 0 < float(own[0]) < 1
    other = torch.roll(torch.arange(6), 1)
    assert torch.allclose(shares[torch.arange(6), other], 1 - own)
    if kind == "mixup":
        assert torch.allclose(mixed, own[0] * x + (1 - own[0]) * x[other], atol=1e-6)
    else:
        is_own = mixed == x
        assert ((mixed == x[other]) | is_own).all()
        assert float(is_own.float().mean()) == pytest.approx(float(own[0]), abs=0.02)


def test_mixed_batches_are_trained_on_their_shares(small):
    run = run_of(small, mixup=0.5)
    with global_stream(11):
        mixed, shares = make_mixing(ns.TrainSpec(mixup=0.5), 10)(*_in_order(run, small))
        expected = functional.cross_entropy(run.model(mixed), shares)
        wrong = (run.model(mixed).argmax(1) != shares.argmax(1)).float().mean()
    with global_stream(11):
        run.train_epoch()
    assert run.curves["train_loss"][0] == pytest.approx(float(expected.detach()), rel=1e-5)
    assert run.curves["train_error"][0] == pytest.approx(float(wrong), abs=1e-6)


def _in_order(run, data):
    order = torch.randperm(len(data.y_train), generator=make_generator("order of samples", NET.digest, 3))
    return data.x_train[order], data.y_train[order]


ALL = {
    **{"epochs": 4, "optimizer": "adamw", "learning_rate": 1e-3, "batch_size": 8, "accumulate": 2},
    **{"label_smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0, "ema_decay": 0.9, "layer_decay": 0.8, "schedule": "cosine"},
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("pictures"))
    return lambda load: ns.load_data(ns.DataSpec(name=f"folder:{root}", image_size=16, load=load, workers=1))


def test_a_training_that_is_cut_goes_on_to_the_same_end(pictures):
    splits = pictures("memory")
    spec = ns.TrainSpec(**ALL, timm_transform={"auto_augment": "rand-m9-mstd0.5-inc1"})
    with global_stream(1):
        whole = TrainingRun(CNN, splits, spec, seed=0)
        for _ in range(4):
            whole.train_epoch()
    with global_stream(1):
        first = TrainingRun(CNN, splits, spec, seed=0)
        for _ in range(2):
            first.train_epoch()
        state = copy.deepcopy(first.state())
    with global_stream(99):
        second = TrainingRun(CNN, splits, spec, seed=0)
        second.restore(state)
        for _ in range(2):
            second.train_epoch()
    assert second.curves == whole.curves
    assert all(torch.equal(v, whole.kept.state_dict()[k]) for k, v in second.kept.state_dict().items())


def test_pictures_are_cropped_from_their_files(tmp_path):
    """A crop that is the whole picture, and nothing else, is what training without it sees."""
    nothing = {"scale": [1.0, 1.0], "ratio": [1.0, 1.0], "hflip": 0.0, "color_jitter": 0.0}
    options = {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3}
    root = tmp_path / "square"
    rng = torch.Generator().manual_seed(0)
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for i in range(20):
            pixels = torch.randint(60 * label, 130 + 60 * label, (40, 40, 3), generator=rng, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(root / name / f"{i}.png")
    streamed = ns.load_data(ns.DataSpec(name=f"folder:{root}", image_size=16, load="stream", workers=1))
    assert isinstance(streamed.x_train, Pictures)
    plain = train(CNN, streamed, ns.TrainSpec(**options), seed=0)
    same = train(CNN, streamed, ns.TrainSpec(**options, timm_transform=nothing), seed=0)
    cropped = train(CNN, streamed, ns.TrainSpec(**options, timm_transform={"scale": [0.2, 0.5]}), seed=0)
    again = train(CNN, streamed, ns.TrainSpec(**options, timm_transform={"scale": [0.2, 0.5]}), seed=0)
    assert same.curves["train_loss"] == pytest.approx(plain.curves["train_loss"], rel=0.02)
    assert cropped.curves["train_loss"] != pytest.approx(plain.curves["train_loss"], rel=0.02)
    assert cropped.curves == again.curves
    assert cropped.curve == again.curve


def test_every_epoch_sees_others(pictures):
    run = TrainingRun(CNN, pictures("memory"), ns.TrainSpec(**{**ALL, "timm_transform": {}}), seed=0)
    seen = []
    for seed in (1, 2, 1):
        run._x_train.source.seed = seed
        seen.append(torch.cat(list(run._x_train.split(8))))
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles by a C++ compiler")
def test_a_compiled_network_trains_as_it_does_without(small):
    options = {"epochs": 2, "batch_size": 25}
    plain, fast = (train(NET, small, ns.TrainSpec(**{**PLAIN, **options, "compile": c}), seed=0) for c in (False, True))
    assert fast.curve == pytest.approx(plain.curve, rel=1e-4)
    assert fast.state.keys() == plain.state.keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": 0.2, "class_weights": "balanced"}, "mixup in .train. cannot be had with weights"),
        ({"label_smoothing": 0.1, "loss": "mse"}, 'label_smoothing in .train. needs loss "cross_entropy"'),
        ({"timm_transform": {}}, "needs pictures of 1 or 3 channels and 256 grey values, but data 'digits'"),
    ],
)
def test_what_does_not_go_together_is_one_line(small, options, message):
    with pytest.raises(ns.InvalidInputError, match=message) as caught:
        train(NET, small, ns.TrainSpec(**{**PLAIN, **options}), seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": [0.1, 1.0]}, "timm_transform in .train. cannot be used: .*scales"),
        ({"mean": [0.5]}, "cannot have mean, which .data. says"),
        ({"auto_augment": "magic-m9"}, "timm_transform in .train. cannot be used"),
    ],
)
def test_arguments_that_timm_does_not_take_are_one_line(pictures, options, message):
    with pytest.raises(ns.InvalidInputError, match=message) as caught:
        train(CNN, pictures("memory"), ns.TrainSpec(**PLAIN, timm_transform=options), seed=0)
    assert "\n" not in str(caught.value)
