"""The sensitivity with batch statistics against a network in training mode, one pair of input and noise at a time."""

from __future__ import annotations

import copy
import statistics

import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.batch_sensitivity import batch_sensitivity
from nas_sens.metrics.output_sensitivity import output_sensitivity


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("noise_std", [0.01, 1.0])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, noise_std):
    twin = copy.deepcopy(network)
    for m in twin.modules():
        m.training = isinstance(m, nn.modules.batchnorm._BatchNorm)
    noise = noise_std * torch.randn(x.shape, generator=seeded(3), dtype=torch.float64)
    with torch.no_grad():
        rows = twin(torch.cat([x, x + noise])).tolist()
    moves = [statistics.fmean(b) - statistics.fmean(a) for a, b in zip(rows[: len(x)], rows[len(x) :], strict=True)]
    value = batch_sensitivity(network, x, noise_std=noise_std, generator=seeded(3))
    assert value == pytest.approx(statistics.variance(moves), rel=1e-9)


def test_by_hand():
    # One unit, and a batch norm without affine part: values ±(1 + e) and ±1 of x and x + ε have mean 0 and variance v.
    class Doubled(nn.Module):
        def forward(self, rows):
            return rows * 2

    norm = nn.BatchNorm1d(1, affine=False, eps=1e-15).double()
    x = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    noise = torch.randn(x.shape, generator=seeded(), dtype=torch.float64) * 0.5
    both = torch.cat([x, x + noise])
    expected = float((2 * noise / both.std(correction=0)).var())
    assert batch_sensitivity(nn.Sequential(norm, Doubled()), x, noise_std=0.5, generator=seeded()) == pytest.approx(
        expected, rel=1e-12
    )
    assert float(norm.running_mean) == 0.0  # of the batch it is not


def test_without_batch_norms_it_is_the_output_sensitivity(x):
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    expected = output_sensitivity(model, x, noise_std=0.2, generator=seeded(1))
    assert batch_sensitivity(model, x, noise_std=0.2, generator=seeded(1)) == pytest.approx(expected, rel=1e-12)


def test_what_leaves_single_precision_is_taken_in_double():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    for layer in model:
        nn.init.constant_(layer.weight, 1e30)
    x = torch.randn(6, 2, generator=seeded())
    value = batch_sensitivity(model, x, generator=seeded(1))
    smaller = copy.deepcopy(model)
    for layer in smaller:
        nn.init.constant_(layer.weight, 1.0)
    assert value == pytest.approx(1e120 * batch_sensitivity(smaller, x, generator=seeded(1)), rel=1e-4)
    assert model[0].weight.dtype == torch.float32


@pytest.mark.parametrize("noise_std", [0.0, -1.0, float("nan")])
def test_noise_must_be_positive(network, x, noise_std):
    with pytest.raises(InvalidInputError, match=f"noise_std must be greater than 0; given {noise_std}"):
        batch_sensitivity(network, x, noise_std=noise_std)
