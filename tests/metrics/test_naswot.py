"""NASWOT against Hamming distances counted one unit at a time."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.core.errors import InvalidInputError
from nas_sens.metrics.naswot import naswot


def slow_twin(model, x, batch_statistics):
    """Return log|det K_H| from codes gathered on a copy, distances counted unit by unit."""
    twin = copy.deepcopy(model).eval()
    for m in twin.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.train(batch_statistics)
    codes = [[] for _ in x]

    def collect(module, arguments, output):
        for code, row in zip(codes, arguments[0].flatten(1).tolist(), strict=True):
            code.extend(v > 0 for v in row)

    for m in twin.modules():
        if isinstance(m, nn.ReLU):
            m.register_forward_hook(collect)
    twin(x)
    n_units = len(codes[0])
    kernel = [[n_units - sum(a != b for a, b in zip(ci, cj, strict=True)) for cj in codes] for ci in codes]
    return math.log(abs(np.linalg.det(np.array(kernel, dtype=float))))


@pytest.mark.parametrize("batch_statistics", [True, False])
@pytest.mark.usefixtures("untouched", "same_global_rng")
def test_equals_the_slow_twin(network, x, batch_statistics):
    # Inputs that differ only a little from each other have the same codes: spread them.
    x = (x - 0.5) * 10
    expected = slow_twin(network, x, batch_statistics)
    assert naswot(network, x, batch_statistics=batch_statistics) == pytest.approx(expected, rel=1e-10)


def test_by_hand():
    # Codes of ±1 through (1, -1): (1, 0) and (0, 1); 2 units, all differ: K = [[2, 0], [0, 2]].
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(inplace=True), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0], [-1.0]])
    assert naswot(model, torch.tensor([[1.0], [-1.0]])) == pytest.approx(math.log(4))
    assert naswot(model, torch.tensor([[1.0], [2.0]])) == -math.inf


def test_a_module_called_twice_counts_twice():
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(2, 2, bias=False), relu)
    nn.init.eye_(model[1].weight)
    # Codes (1, 0 | 1, 0) and (1, 1 | 1, 1): N = 4, distance 2.
    x = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert naswot(model, x) == pytest.approx(math.log(4 * 4 - 2 * 2))


def test_what_it_needs(x):
    with pytest.raises(InvalidInputError, match="ReLU modules are needed"):
        naswot(nn.Sequential(nn.Flatten(), nn.Linear(32, 2), nn.Tanh()).double(), x)
