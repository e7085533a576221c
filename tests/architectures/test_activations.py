"""Activations against their definitions, by hand."""

from __future__ import annotations

import math
from typing import get_type_hints

import pytest
import torch

from nas_sens.architectures.activations import ACTIVATIONS, make_activation
from nas_sens.architectures.base import LayeredSpec

TOLERANCE = 1e-12
DEFINITIONS = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "tanh": math.tanh,
    "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
    "hard_sigmoid": lambda x: min(max(x + 0.5, 0.0), 1.0),  # novak2018's, of slope 1
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
}


def test_every_activation_is_tested():
    assert set(DEFINITIONS) == set(ACTIVATIONS)
    assert get_type_hints(LayeredSpec)["activation"].__args__ == ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values(name):
    x = torch.linspace(-8, 8, 161, dtype=torch.float64)
    expected = torch.tensor([DEFINITIONS[name](v) for v in x.tolist()], dtype=torch.float64)
    before = x.clone()
    torch.testing.assert_close(make_activation(name)(x), expected, atol=TOLERANCE, rtol=0)
    assert torch.equal(x, before), "the input was altered"


def test_every_call_makes_a_new_module():
    assert make_activation("relu") is not make_activation("relu")
