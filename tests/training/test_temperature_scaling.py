"""Temperature scaling of trained networks before their losses are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional

import nas_sens as ns
from nas_sens.core.errors import InvalidInputError
from nas_sens.training import train
from nas_sens.training.evaluation import fitted_temperature
from tests.tiny_study import tiny, url

FC = ns.FCSpec(depth=1, width=32, init="he_normal")
PLAIN = ns.TrainSpec(epochs=20, learning_rate=3e-2)
SCALED = ns.TrainSpec(epochs=20, learning_rate=3e-2, temperature_scaling=True)


def test_losses_and_sensitivity_are_those_of_the_divided_outputs(digits):
    plain, scaled = (train(FC, digits, s, seed=0, sensitivity=lambda m: torch.tensor(8.0)) for s in (PLAIN, SCALED))
    model = FC.build(digits.input_shape, digits.n_outputs).eval()
    model.load_state_dict(scaled.state)
    with torch.no_grad():
        val, test = model(digits.x_val).double(), model(digits.x_test).double()
    found = minimize_scalar(
        lambda b: float(functional.cross_entropy(val * b, digits.y_val)), bounds=(1e-3, 10), options={"xatol": 1e-10}
    )
    assert scaled.temperature == pytest.approx(1 / found.x, rel=1e-5)
    assert abs(scaled.temperature - 1) > 0.1
    assert scaled.test_loss == pytest.approx(float(functional.cross_entropy(test * found.x, digits.y_test)), rel=1e-6)
    assert scaled.val_loss < plain.val_loss
    assert scaled.sensitivity == pytest.approx(8.0 / scaled.temperature**2)
    assert (scaled.test_error, scaled.val_error) == (plain.test_error, plain.val_error)
    assert (plain.temperature, plain.sensitivity) == (1.0, 8.0)
    assert all(torch.equal(plain.state[k], scaled.state[k]) for k in plain.state)


def test_a_study_keeps_the_temperature(tmp_path: Path):
    spec = tiny(train=ns.TrainSpec(epochs=2, seeds=2, temperature_scaling=True))
    result = ns.search(spec, storage=url(tmp_path))
    assert all(t.temperature is not None and t.temperature > 0 for t in result.trials)
    assert ns.search(spec, storage=url(tmp_path)).trials == result.trials


def test_where_no_temperature_is_best_outputs_stay(digits):
    right, y = torch.nn.Identity(), digits.y_val
    assert fitted_temperature(right, 5.0 * functional.one_hot(y, 10).float(), y) == 1.0
    assert fitted_temperature(right, -5.0 * functional.one_hot(y, 10).float(), y) == 1.0
    noisy = 5.0 * functional.one_hot(torch.where(torch.arange(len(y)) % 4 == 0, (y + 1) % 10, y), 10).float()
    p = 1 - float((torch.arange(len(y)) % 4 == 0).double().mean())  # what the larger logit's class should get
    assert fitted_temperature(right, noisy, y) == pytest.approx(5 / np.log(9 * p / (1 - p)), rel=1e-6)


def test_only_classes_have_a_temperature(tmp_path: Path):
    with pytest.raises(Exception, match='needs loss "cross_entropy" for temperature_scaling'):
        ns.TrainSpec(loss="mse", temperature_scaling=True)
    boston = ns.StudySpec(name="b", search_space=tiny().search_space, data=ns.DataSpec(name="diabetes"), train=SCALED)
    with pytest.raises(InvalidInputError, match=r"temperature_scaling in \[train\] needs classes"):
        ns.search(boston, storage=url(tmp_path))
