"""Declared parameters as Optuna distributions and back."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas_sens.study.distributions import iterate_values, n_values, parse_parameter, to_declared

CASES = [
    ({"type": "int", "low": 1, "high": 6}, IntDistribution(1, 6)),
    ({"type": "int", "low": 16, "high": 512, "log": True}, IntDistribution(16, 512, log=True)),
    ({"type": "int", "low": 2, "high": 8, "step": 3}, IntDistribution(2, 8, step=3)),
    ({"type": "int", "low": 3, "high": 3}, IntDistribution(3, 3)),
    ({"type": "float", "low": 0, "high": 0.5}, FloatDistribution(0.0, 0.5)),
    ({"type": "float", "low": 0.1, "high": 10.0, "log": True}, FloatDistribution(0.1, 10.0, log=True)),
    ({"type": "float", "low": 0.1, "high": 0.3, "step": 0.1}, FloatDistribution(0.1, 0.3, step=0.1)),
    ({"type": "categorical", "choices": ["a", "b"]}, CategoricalDistribution(["a", "b"])),
    ({"type": "categorical", "choices": [0, 0.5, 2]}, CategoricalDistribution([0, 0.5, 2])),
]


@pytest.mark.parametrize(("declared", "expected"), CASES)
def test_short_form_is_the_distribution(declared, expected):
    assert parse_parameter(declared, "k") == expected
    assert parse_parameter(expected, "k") is expected
    assert to_declared(expected) == declared
    assert parse_parameter(to_declared(expected), "k") == expected


@pytest.mark.parametrize("value", [3, 0.5, "relu", True])
def test_plain_values_are_fixed(value):
    assert parse_parameter(value, "k") is value
    assert to_declared(value) is value


def test_other_ways_to_write_the_same():
    assert parse_parameter([1, 2], "k") == parse_parameter((1, 2), "k") == CategoricalDistribution([1, 2])
    long = {"type": "int", "low": 1, "high": 6, "log": False, "step": 1}
    assert to_declared(parse_parameter(long, "k")) == {"type": "int", "low": 1, "high": 6}
    assert parse_parameter({"type": "int", "low": 1, "high": 8, "log": True, "step": 1}, "k") == IntDistribution(
        1, 8, log=True
    )


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (IntDistribution(2, 5), [2, 3, 4, 5]),
        (IntDistribution(2, 8, step=3), [2, 5, 8]),
        (IntDistribution(1, 4, log=True), [1, 2, 3, 4]),
        (IntDistribution(7, 7), [7]),
        (FloatDistribution(0.0, 0.5, step=0.25), [0.0, 0.25, 0.5]),
        (FloatDistribution(0.5, 0.5), [0.5]),
        (CategoricalDistribution(["a", "b"]), ["a", "b"]),
    ],
)
def test_finite_distributions_are_counted_and_listed(distribution, values):
    assert n_values(distribution) == len(values)
    assert list(iterate_values(distribution)) == values
