"""The studies behind the tables of trained networks: spaces, data and trainings that differ in what decides.

Size decides in some, structure, training or regularisation in others; in some the largest network is not the best.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import series
import tabular

import nas_sens as ns

METRICS = ("naswot", "synflow", "jacob_cov", "zen", "near")
SCORE = ns.ScoreSpec(n_inputs=64, seeds=3, metrics=METRICS)


def range_of(kind: str, low: float, high: float, *, log: bool = False) -> dict[str, Any]:
    return {"type": kind, "low": low, "high": high} | ({"log": True} if log else {})


def fc(depth: tuple[int, int], width: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"depth": range_of("int", *depth), "width": range_of("int", *width, log=True), **more}


def cnn(depth: tuple[int, int], channels: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"depth": range_of("int", *depth), "channels": range_of("int", *channels, log=True), **more}


BOTH = [False, True]


def quickstart() -> ns.StudySpec:
    """The quickstart's own space, data and training."""
    spec = ns.load_study("quickstart")
    return dataclasses.replace(spec, score=dataclasses.replace(spec.score, metrics=METRICS))


def cifar_fc_cnn(data: str) -> ns.StudySpec:
    """Fully-connected and convolutional networks with batch norm, dropout and max-pools, or without."""
    families = {
        "fc": fc((1, 5), (16, 256), init="he_normal", batch_norm=BOTH, dropout=[0.0, 0.3]),
        "cnn": cnn(
            *((1, 4), (4, 24)),
            **{"kernel": [3, 5], "padding": 1, "stride": [1, 2], "max_pool": BOTH, "hidden_units": [0, 64]},
            **{"init": "he_normal", "batch_norm": BOTH, "dropout": [0.0, 0.25]},
        ),
    }
    space = ns.SearchSpace(name="cifar_fc_cnn", families=families, constraints={"flops": {"max": 1_500_000}})
    return study(space, images(data, 1500, standardize=True), ns.TrainSpec(epochs=10, seeds=1, batch_size=64))


def cifar_flops_band(data: str) -> ns.StudySpec:
    """Convolutional networks of about equal cost: shape is free, size is not."""
    families = {
        "cnn": cnn(
            *((1, 6), (4, 64)),
            **{"kernel": [3, 5], "padding": [1, 2], "stride": [1, 2], "max_pool": BOTH, "hidden_units": [0, 64]},
            **{"init": "he_normal", "batch_norm": BOTH},
        )
    }
    band = {"flops": {"min": 440_000, "max": 550_000}}
    space = ns.SearchSpace(name="cifar_flops_band", families=families, constraints=band)
    return study(space, images(data, 1000, standardize=True), ns.TrainSpec(epochs=8, seeds=1, batch_size=64))


def fashion_cnn_sn(data: str) -> ns.StudySpec:
    """Convolutional networks that start from standard-normal weights."""
    families = {
        "cnn": cnn(
            *((1, 4), (2, 24)),
            **{"kernel": [3, 5], "padding": [0, 1], "stride": [1, 2], "max_pool": BOTH, "hidden_units": [0, 32, 128]},
            init="standard_normal",
        )
    }
    space = ns.SearchSpace(name="fashion_cnn_sn", families=families, constraints={"flops": {"max": 800_000}})
    return study(space, images(data, 1000), ns.TrainSpec(epochs=8, seeds=1, batch_size=64))


def fashion_resnet(data: str) -> ns.StudySpec:
    """Small residual networks: shortcuts, their order, batch norm."""
    families = {
        "resnet": {
            **{"stages": range_of("int", 1, 3), "blocks": range_of("int", 1, 3)},
            **{"width": range_of("int", 3, 12, log=True), "shortcut": ["identity", "projection", "none"]},
            **{"pre_activation": BOTH, "batch_norm": BOTH, "init": "he_normal"},
        }
    }
    space = ns.SearchSpace(name="fashion_resnet", families=families, constraints={"flops": {"max": 1_200_000}})
    score = dataclasses.replace(SCORE, estimator="monte_carlo")
    return study(space, images(data, 600), ns.TrainSpec(epochs=8, seeds=1, batch_size=32), score)


def mnist_few_fc_sn(data: str) -> ns.StudySpec:
    """Fully-connected networks from standard-normal weights on few images: depth harms, width helps."""
    space = ns.SearchSpace(
        name="mnist_few_fc_sn",
        families={"fc": fc((1, 6), (16, 512), init="standard_normal", taper=[0.5, 1.0], dropout=[0.0, 0.3])},
    )
    return study(space, images(data, 300), ns.TrainSpec(epochs=15, seeds=2, batch_size=32))


def digits_deep_sn() -> ns.StudySpec:
    """Fully-connected networks from standard-normal weights, of which depth makes most: the largest are the worst."""
    space = ns.SearchSpace(
        name="digits_deep_sn",
        families={"fc": fc((1, 10), (48, 96), init="standard_normal", batch_norm=BOTH, dropout=[0.0, 0.2])},
    )
    data = ns.DataSpec(name="digits", train_samples=400, val_fraction=0.4)
    return study(space, data, ns.TrainSpec(epochs=12, seeds=1, batch_size=32))


def digits_noisy() -> ns.StudySpec:
    """Labels of 3 digits in 10 are wrong: what matters is whether a network learns the others first."""
    regularised = {"batch_norm": BOTH, "dropout": [0.0, 0.2, 0.5], "init": "he_normal"}
    families = {
        "fc": fc((1, 4), (8, 512), **regularised),
        "cnn": cnn((1, 3), (4, 32), kernel=3, padding=1, stride=[1, 2], hidden_units=[0, 32, 128], **regularised),
    }
    space = ns.SearchSpace(name="digits_noisy", families=families, constraints={"flops": {"max": 1_500_000}})
    data = ns.DataSpec(name="digits", train_samples=600, val_fraction=0.4)
    return study(space, data, ns.TrainSpec(epochs=12, seeds=1, batch_size=32, label_noise=0.3))


def diabetes_regularised() -> ns.StudySpec:
    """Regression on a table of 200 patients: learning rate, weight decay and dropout are searched."""
    space = ns.SearchSpace(
        name="diabetes_regularised",
        families={"fc": fc((1, 5), (8, 256), dropout=[0.0, 0.2, 0.5], batch_norm=BOTH, init="he_normal")},
        training={
            "learning_rate": range_of("float", 1e-4, 3e-2, log=True),
            "weight_decay": range_of("float", 1e-3, 3.0, log=True),
            "batch_size": [16, 64],
        },
    )
    data = ns.DataSpec(name=tabular.diabetes)
    return study(space, data, ns.TrainSpec(epochs=24, seeds=2, optimizer="adamw"))


def series_conv1d() -> ns.StudySpec:
    """One-dimensional convolutions of one's own on made-up series."""
    space = ns.SearchSpace(
        name="series_conv1d",
        families={
            series.conv1d: {
                **{"depth": range_of("int", 1, 6), "width": range_of("int", 4, 48, log=True)},
                **{"kernel": [3, 5, 9], "norm": BOTH, "dilated": BOTH, "pool": ["mean", "max", "flat"]},
            }
        },
        constraints={"flops": {"max": 2_000_000}},
    )
    return study(space, ns.DataSpec(name=series.data), ns.TrainSpec(epochs=10, seeds=1, batch_size=64))


def images(name: str, n: int, *, standardize: bool = False) -> ns.DataSpec:
    sizes = {"train_samples": n, "val_samples": 1000, "test_samples": 1000}
    return ns.DataSpec(name=name, standardize=standardize, **sizes)


def study(space: ns.SearchSpace, data: ns.DataSpec, train: ns.TrainSpec, score: ns.ScoreSpec = SCORE) -> ns.StudySpec:
    """Return a study of a space, named like it."""
    return ns.StudySpec(name=space.name, search_space=space, data=data, score=score, train=train)
