"""Sensitivity in parts, against the definition written out sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.output_sensitivity import output_sensitivity
from nas_sens.metrics.sensitivity_profile import sensitivity_by_class, sensitivity_by_sample, sensitivity_sweep


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def network():
    model = CNNSpec(depth=1, channels=3, dropout=0.5).build((1, 6, 6), 4, generator=seeded(0), dtype=torch.float64)
    x = torch.rand((10, 1, 6, 6), generator=seeded(1), dtype=torch.float64)
    return model.train(), x, torch.tensor([0, 1, 1, 2, 0, 1, 2, 2, 2, 0])


def noises(x, n):
    generator = seeded()
    return [torch.randn(x.shape, generator=generator, dtype=x.dtype) for _ in range(n)]


def one(model, x):
    with torch.no_grad():
        return model.eval()(x[None])[0].mean().item()


def test_sweep_is_the_sensitivity_at_every_level(network):
    model, x, _ = network
    found = sensitivity_sweep(model, x, noise_stds=[0.01, 0.1, 1.0], generator=seeded())
    assert model.training
    expected = [output_sensitivity(model, x, noise_std=s, generator=seeded()) for s in (0.01, 0.1, 1.0)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, 2).double())
    a, b = sensitivity_sweep(linear, x, noise_stds=[0.1, 0.3], generator=seeded()).tolist()
    assert b / a == pytest.approx(9, rel=1e-9)


def test_by_sample_and_by_class_are_the_definition(network):
    model, x, y = network
    n = 5
    delta = np.array(
        [[one(model, z + 0.2 * e) - one(model, z) for z, e in zip(x, noise, strict=True)] for noise in noises(x, n)]
    )
    model.train()
    by_sample = sensitivity_by_sample(model, x, noise_std=0.2, n_noise=n, generator=seeded())
    assert by_sample.numpy() == pytest.approx(delta.var(axis=0, ddof=1), rel=1e-9)
    by_class = sensitivity_by_class(model, x, y, noise_std=0.2, n_noise=n, generator=seeded())
    expected = {c: delta[:, y.numpy() == c].var(ddof=1) for c in (0, 1, 2)}
    assert by_class == pytest.approx(expected, rel=1e-9)
    assert model.training
    whole = sensitivity_by_class(model, x, torch.zeros_like(y), noise_std=0.2, n_noise=n, generator=seeded())
    same = output_sensitivity(model, x, noise_std=0.2, n_noise=n, generator=seeded())
    assert whole[0] == pytest.approx(same, rel=1e-9)


def test_wrong_input(network):
    model, x, y = network
    for levels in ([], [0.1, 0.0], [float("nan")]):
        with pytest.raises(InvalidInputError, match="noise_stds must be"):
            sensitivity_sweep(model, x, noise_stds=levels)
    with pytest.raises(InvalidInputError, match="at least 2 inputs; given 1"):
        sensitivity_sweep(model, x[:1], noise_stds=[0.1])
    with pytest.raises(InvalidInputError, match="n_noise at least 2"):
        sensitivity_by_sample(model, x, n_noise=1)
    with pytest.raises(InvalidInputError, match="one label for each of 10 inputs"):
        sensitivity_by_class(model, x, y[:3])
