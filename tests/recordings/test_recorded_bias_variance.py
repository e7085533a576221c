"""Bias and variance of single inputs: their means are those of the whole, and of sums written as in the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import nas_sens as ns
from nas_sens.metrics.bias_variance import bias_variance as of_all
from nas_sens.recordings import Recorded
from nas_sens.recordings.bias_variance import bias_variance, over_seeds


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_means_are_those_of_the_whole_and_single_values_are_sums(name):
    splits = ns.load_data(ns.DataSpec(name=name, train_samples=50, standardize=True))
    seeds = []
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        model = ns.FCSpec(depth=1, width=5, init="he_normal").build(splits.input_shape, splits.n_outputs, generator=g)
        recorded = Recorded(splits=splits, y_train=splits.y_train, n_inputs=7, loss="mse", generator=g)
        seeds.append({k: v.double().numpy() for k, v in bias_variance(model, recorded).items()})
    found = over_seeds(seeds)
    predictions = torch.tensor(np.stack([one["predictions"] for one in seeds]))
    _, targets = recorded.test
    whole = of_all(predictions, targets)
    for field in ("bias", "variance", "mse"):
        assert found[field].shape == (7,)
        assert found[field].mean() == pytest.approx(getattr(whole, field), rel=1e-10)
    outputs = np.stack([one["outputs"] for one in seeds])
    slow = sum(
        math.fsum((o - math.fsum(column) / 3) ** 2 for o in column) / 2 for column in outputs[:, 4].T.tolist()
    )  # over the outputs of one input
    assert found["output_variance"][4] == pytest.approx(slow, rel=1e-10)
    if name == "digits":
        assert np.abs(found["output_variance"] / found["variance"] - 1).min() > 0.1
    if name == "diabetes":
        assert found["output_variance"].tolist() == found["variance"].tolist()
        values, target = [float(one["predictions"][4, 0]) for one in seeds], float(targets[4])
        mean = math.fsum(values) / 3
        variance = math.fsum((v - mean) ** 2 for v in values) / 2
        assert found["variance"][4] == pytest.approx(variance, rel=1e-10)
        assert found["bias"][4] == pytest.approx((mean - target) ** 2 - variance / 3, rel=1e-10)
        assert found["mse"][4] == pytest.approx(math.fsum((v - target) ** 2 for v in values) / 3, rel=1e-10)


def test_one_training_has_no_variance():
    found = over_seeds([{"outputs": np.ones((2, 1)), "predictions": np.ones((2, 1)), "targets": np.zeros((2, 1))}])
    assert np.isnan(found["output_variance"]).all()
    assert np.isnan(found["variance"]).all()
    assert np.isnan(found["bias"]).all()
    assert found["mse"].tolist() == [1.0, 1.0]
