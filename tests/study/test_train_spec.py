"""What ``[train]`` may say, what it may not, and that studies stored before it had its present keys go on."""

from __future__ import annotations

import dataclasses
import json

import pytest

import nas_sens as ns
from nas_sens.core.declarations import validate
from nas_sens.core.identity import canonical_json
from nas_sens.study.load import from_dict
from nas_sens.study.resume import check_resumable
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training.trainable import check_trainable

FIRST_KEYS = ("epochs", "optimizer", "learning_rate", "weight_decay", "momentum", "batch_size", "seeds")
FIRST_KEYS += ("stop_loss", "stop_epochs")  # all that a study of the first version has


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"optimizer": "lbfgs"}, 'needs batch_size = "full" with optimizer "lbfgs"; given 128'),
        ({"optimizer": "lbfgs", "batch_size": "full", "weight_decay": 0.1}, "cannot have weight_decay with optimizer"),
        ({"optimizer": "lbfgs", "batch_size": "full", "max_gradient_norm": 1.0}, "cannot have max_gradient_norm"),
        ({"optimizer": "lbfgs", "batch_size": "full", "precision": "bfloat16"}, "cannot have precision"),
        ({"nesterov": True}, 'needs optimizer "sgd" and a momentum above 0 for nesterov'),
        ({"nesterov": True, "optimizer": "sgd"}, "momentum = 0.0"),
        ({"schedule": "multistep"}, 'a list of epochs as decay_epochs with schedule "multistep"'),
        ({"decay_epochs": [3, 4]}, "given schedule = 'constant', decay_epochs = (3, 4)"),
        ({"noisy_epochs": 3}, "needs a label_noise above 0 for noisy_epochs; given noisy_epochs = 3"),
        ({"label_noise": 1.5}, "train.label_noise must be less than or equal to 1; given 1.5"),
        ({"augmentation": ["flop"]}, "train.augmentation.0 must be 'translation', 'flip', 'vertical_flip' or"),
        ({"augmentation": "flip+flop"}, "train.augmentation.1 must be 'translation', 'flip', 'vertical_flip' or"),
        ({"samples": 0}, "train.samples must be"),
        ({"max_gradient_norm": 0.0}, "train.max_gradient_norm must be greater than 0"),
        ({"precision": "float64"}, "train.precision must be 'float32', 'bfloat16' or 'float16'"),
        ({"max_second": 3.0}, "unknown key 'train.max_second'; did you mean 'max_seconds'?"),
    ],
)
def test_contradictions_are_one_line(values, text):
    with pytest.raises(ns.InvalidInputError) as error:
        validate(TrainSpec, values, source="study.toml", where="train")
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "lbfgs", "batch_size": "full", "learning_rate": 1.0},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "schedule": "multistep", "decay_epochs": [3, 4]},
        {"augmentation": ["flip", "translation"], "label_noise": 0.5, "noisy_epochs": 3, "loss": "mse"},
    ],
)
def test_declarations_survive_the_database(values):
    spec = TrainSpec(**values)
    assert validate(TrainSpec, json.loads(canonical_json(dataclasses.asdict(spec))), source="stored study") == spec


@pytest.mark.parametrize(
    ("word", "kinds"), [("none", ()), ("flip", ("flip",)), ("flip+translation", ("flip", "translation"))]
)
def test_kinds_of_augmentation_in_one_word(word, kinds):
    assert TrainSpec(augmentation=word).augmentation == kinds


def test_epochs_on_noisy_labels_are_counted():
    assert TrainSpec(epochs=80, label_noise=0.5, noisy_epochs=30).n_epochs == 110
    assert TrainSpec(epochs=80, label_noise=0.5).n_epochs == 80


def study(**train):
    space = ns.SearchSpace(name="tiny", families={"fc": {"depth": [1, 2], "width": 4}})
    return ns.StudySpec(name="s", search_space=space, data=ns.DataSpec(name="digits"), train=TrainSpec(**train))


def test_a_study_that_was_stored_before_these_keys_goes_on():
    stored = json.loads(canonical_json(study(epochs=3).to_dict()))
    stored["train"] = {k: v for k, v in stored["train"].items() if k in FIRST_KEYS}
    check_resumable(from_dict(stored), study(epochs=3), is_trained=True, where="a.db")
    with pytest.raises(ns.InvalidInputError, match=r"train.label_noise: 0.0 stored, 0.5 given"):
        check_resumable(from_dict(stored), study(epochs=3, label_noise=0.5), is_trained=True, where="a.db")


def test_how_often_states_are_written_is_no_part_of_the_protocol():
    check_resumable(study(), study(checkpoint_seconds=5.0), is_trained=True, where="a.db")


def test_data_that_cannot_be_trained_on_as_declared(digits):
    table = ns.load_data(ns.DataSpec(name="diabetes", train_samples=50))
    wide = dataclasses.replace(digits, x_train=digits.x_train[..., :6])
    cases = [
        (table, {"label_noise": 0.1}, "label_noise in [train] swaps classes, but data 'diabetes' is for regression"),
        (table, {"augmentation": ("flip",)}, "needs images (channels, height, width), but data 'diabetes' has inputs"),
        (digits, {"samples": 201}, "samples in [train] must be at most the 200 training samples of data 'digits'"),
        (wide, {"augmentation": ("rotation",)}, "needs square images, but data 'digits' has inputs of shape (1, 8, 6)"),
    ]
    for splits, values, text in cases:
        with pytest.raises(ns.InvalidInputError) as error:
            check_trainable(TrainSpec(**values), splits)
        assert text in str(error.value)
    check_trainable(TrainSpec(augmentation=("flip", "translation"), samples=200), wide)


def test_a_loss_of_another_kind_is_not_predicted(tmp_path):
    spec = dataclasses.replace(study(loss="mse"), select=ns.SelectSpec(final="predicted_loss"))
    with pytest.raises(ns.InvalidInputError, match=r'final = "predicted_loss" is a cross-entropy'):
        ns.search(spec, storage=f"sqlite:///{tmp_path}/a.db")


@pytest.mark.parametrize("is_searched", [False, True])
@pytest.mark.parametrize(("key", "smaller", "value"), [("label_noise", 0.0, 0.1), ("samples", 10, 1000)])
def test_a_search_says_so_before_it_scores(tmp_path, key, smaller, value, is_searched):
    spec = dataclasses.replace(study(**({} if is_searched else {key: value})), data=ns.DataSpec(name="diabetes"))
    if is_searched:
        families = {"fc": {"depth": 1, "width": 4}}
        space = ns.SearchSpace(name="tiny", families=families, training={key: [smaller, value]})
        spec = dataclasses.replace(spec, search_space=space)
    with pytest.raises(ns.InvalidInputError, match=key):
        ns.search(spec, storage=f"sqlite:///{tmp_path}/a.db")
    assert not list(tmp_path.iterdir())
