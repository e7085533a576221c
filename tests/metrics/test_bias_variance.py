"""Bias and variance against loops over networks and inputs, and against what they estimate."""

from __future__ import annotations

import statistics

import pytest
import torch

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.bias_variance import bias_variance


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("unbiased", [True, False])
def test_equals_loops_over_eq_4_to_6(unbiased):
    f = torch.randn(4, 5, 3, generator=seeded(), dtype=torch.float64).softmax(dim=2)
    y = torch.tensor([0, 2, 1, 1, 0])
    bias = variance = mse = 0.0
    for i in range(5):
        for k in range(3):
            values = f[:, i, k].tolist()
            target = float(int(y[i]) == k)
            spread = statistics.variance(values) if unbiased else statistics.pvariance(values)
            variance += spread / 5
            bias += ((statistics.fmean(values) - target) ** 2 - (spread / 4 if unbiased else 0)) / 5
            mse += statistics.fmean((v - target) ** 2 for v in values) / 5
    found = bias_variance(f, y, unbiased=unbiased)
    assert (found.bias, found.variance, found.mse) == pytest.approx((bias, variance, mse), rel=1e-10)
    assert found.bias + found.variance == pytest.approx(found.mse, rel=1e-12)


def test_the_unbiased_terms_are_right_on_average_with_two_networks():
    # F = 1 + N(0, 4) for target 0: bias 1, variance 4.
    g = seeded(1)
    terms = [bias_variance(1 + 2 * torch.randn(2, 400, 1, generator=g), torch.zeros(400)) for _ in range(50)]
    assert statistics.fmean(t.bias for t in terms) == pytest.approx(1.0, abs=0.1)
    assert statistics.fmean(t.variance for t in terms) == pytest.approx(4.0, abs=0.2)


def test_wrong_input():
    with pytest.raises(InvalidInputError, match="at least 2 networks"):
        bias_variance(torch.zeros(1, 4, 2), torch.zeros(4, dtype=torch.long))
    with pytest.raises(InvalidInputError, match="each of 4 inputs and 2 outputs"):
        bias_variance(torch.zeros(2, 4, 2), torch.zeros(4))
    with pytest.raises(InvalidInputError, match="each of 4 inputs"):
        bias_variance(torch.zeros(2, 4, 2), torch.zeros(3, dtype=torch.long))
