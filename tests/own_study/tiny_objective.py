"""An Optuna user's function of the smallest size: networks of a few units, and what their training would come to."""

from __future__ import annotations

import math

import optuna
import torch
from torch import nn

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))


def build(trial):
    """One hidden layer, or none: then there is no width."""
    if trial.suggest_categorical("kind", ["mlp", "linear"]) == "linear":
        return nn.Linear(3, 2)
    width = trial.suggest_int("width", 2, 64, log=True)
    activation = {"relu": nn.ReLU, "tanh": nn.Tanh}[trial.suggest_categorical("activation", ["relu", "tanh"])]
    return nn.Sequential(nn.Linear(3, width), activation(), nn.Linear(width, 2))


def end_of(params) -> float:
    """What the training comes to: wide networks are better, as large S is here."""
    return 5.0 if params["kind"] == "linear" else 4.0 - math.log2(params["width"]) / 2


def losses(params, epochs=3):
    return [end_of(params) + 3.0 / epoch for epoch in range(1, epochs)] + [end_of(params)]


def quiet(**options):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(**options)
