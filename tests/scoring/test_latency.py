"""Latency of a network: how it is measured, and the model that predicts it."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from torch import nn

from nas_sens.scoring.footprint import KINDS, Footprint
from nas_sens.scoring.latency import measure_latency
from nas_sens.scoring.latency_model import fit_latency, terms_of
from nas_sens.study.constraints import LatencySpec

SECONDS = 0.004


class Sleeps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.n_calls = nn.Linear(3, 2), 0

    def forward(self, x):
        self.n_calls += 1
        if self.n_calls == 1:
            time.sleep(0.3)  # as the first call of a network does more than the others
        time.sleep(SECONDS)
        return self.layer(x)


def test_it_is_the_time_of_a_pass_without_the_first_one():
    model, threads = Sleeps().train(), torch.get_num_threads()
    found = measure_latency(model, torch.zeros(1, 3), LatencySpec())
    assert 1000 * SECONDS <= found.ms < 5000 * SECONDS
    assert 0 <= found.sd < 1000 * 0.1
    assert (model.training, torch.get_num_threads()) == (True, threads)


def test_a_larger_network_takes_longer_by_either_runtime():
    pytest.importorskip("onnxruntime")
    models = [nn.Sequential(nn.Linear(64, n), nn.ReLU(), nn.Linear(n, 64)) for n in (16, 40_000)]
    for runtime in ("torch", "onnx"):
        small, large = (measure_latency(m, torch.zeros(1, 64), LatencySpec(runtime=runtime)) for m in models)
        assert large.ms > 3 * small.ms


def footprint_of(rng):
    layers = {kind: int(n) for kind, n in zip(KINDS, rng.integers(1, 20, len(KINDS)), strict=True)}
    return Footprint(layers, int(rng.integers(1e5, 1e8)), int(rng.integers(1e5, 1e8)), 0)


def made_up(n, *, noise, seed=0):
    rng = np.random.default_rng(seed)
    terms = [terms_of(int(10 ** rng.uniform(7, 10)), footprint_of(rng)) for _ in range(n)]
    weights = np.array([0.05, 0.8, 0.02, 0.01, 0.03, 0.05, 0.0, 0.01, 0.002])
    ms = [float(t @ weights * np.exp(noise * rng.normal())) for t in terms]
    return terms, ms


def test_without_noise_others_are_predicted_nearly_exactly():
    terms, ms = made_up(60, noise=0.0)
    model = fit_latency(terms[:32], ms[:32])
    errors = [abs(model.predict(t) / y - 1) for t, y in zip(terms[32:], ms[32:], strict=True)]
    assert max(errors) < 0.03
    assert model.error < 0.03


def test_its_error_is_that_of_nine_in_ten_networks_which_it_did_not_see():
    """Mean over 20 draws of 32 measured ones; that of one draw has a standard deviation of 0.05."""
    shares = []
    for seed in range(20):
        terms, ms = made_up(132, noise=0.2, seed=seed)
        model = fit_latency(terms[:32], ms[:32])
        errors = [abs(model.predict(t) / y - 1) for t, y in zip(terms[32:], ms[32:], strict=True)]
        shares.append(np.mean(np.array(errors) < model.error))
    assert 0.86 < np.mean(shares) < 0.94


def test_it_is_the_fit_of_relative_errors_without_negative_weights():
    """By another solver, with the same small ridge."""
    terms, ms = made_up(20, noise=0.1)
    a = np.stack(terms) / np.array(ms)[:, None]
    scale = np.abs(a).mean(axis=0)
    rows = np.vstack([a / scale, np.sqrt(1e-3 * 20) * np.eye(a.shape[1])])
    twin = lsq_linear(rows, np.r_[np.ones(20), np.zeros(a.shape[1])], bounds=(0, np.inf), tol=1e-12).x / scale
    np.testing.assert_allclose(fit_latency(terms, ms).weights, twin, rtol=1e-4, atol=1e-8)
    assert (fit_latency(terms, ms).weights >= 0).all()


def test_it_knows_no_unit():
    terms, ms = made_up(20, noise=0.1)
    one, thousand = fit_latency(terms, ms), fit_latency(terms, [1000 * y for y in ms])
    assert thousand.predict(terms[0]) == pytest.approx(1000 * one.predict(terms[0]))
    assert thousand.error == pytest.approx(one.error)
