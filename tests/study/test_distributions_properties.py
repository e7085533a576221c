"""Declared parameters, whatever they are: there and back, through JSON, and value by value."""

from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution

from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import canonical_json
from nas_sens.study.distributions import extremes, iterate_values, n_values, parse_parameter, to_declared

FINITE = st.floats(-1e9, 1e9, allow_nan=False)
POSITIVE = st.floats(1e-9, 1e9)
TEXT = st.text("ab_ 0'\"\n\\ü€𝄞", max_size=8)  # few letters: the table of all of Unicode takes a second to make
STEPS = st.sampled_from(["0.1", "0.25", "0.05", "0.001", "0.3", "2.5", "7"])


@st.composite
def integers(draw):
    low, step, n = draw(st.integers(-1000, 1000)), draw(st.integers(1, 9)), draw(st.integers(0, 40))
    return {"type": "int", "low": low, "high": low + n * step, "step": step}


@st.composite
def log_integers(draw):
    low = draw(st.integers(1, 1000))
    return {"type": "int", "low": low, "high": low + draw(st.integers(0, 60)), "log": True}


@st.composite
def decimal_grids(draw):
    """A grid of real numbers as people write one: in decimals."""
    step, first, n = Decimal(draw(STEPS)), draw(st.integers(-50, 50)), draw(st.integers(0, 60))
    low = first * step
    return {"type": "float", "low": float(low), "high": float(low + n * step), "step": float(step)}


@st.composite
def ranges(draw):
    is_log = draw(st.booleans())
    low, high = sorted(draw(st.tuples(*[POSITIVE if is_log else FINITE] * 2)))
    return {"type": "float", "low": low, "high": high, "log": is_log}


CHOICES = st.one_of(
    st.lists(TEXT, min_size=1, max_size=6, unique=True),
    st.lists(st.integers(-99, 99) | st.floats(-99, 99), min_size=1, max_size=6, unique=True),
    st.lists(st.booleans(), min_size=1, max_size=2, unique=True),
)
FINITE_MANY = st.one_of(integers(), log_integers(), decimal_grids(), CHOICES)
DECLARED = st.one_of(FINITE_MANY, ranges(), st.booleans(), st.integers(), FINITE, TEXT)


@given(DECLARED)
def test_a_declaration_goes_through_a_distribution_and_through_json(declared):
    """Studies are stored as JSON, and refuse to go on where the space that is read from it differs."""
    parameter = parse_parameter(declared, "k")
    short = to_declared(parameter)
    assert parse_parameter(short, "k") == parameter
    assert to_declared(parse_parameter(short, "k")) == short
    text = canonical_json(short)
    assert canonical_json(to_declared(parse_parameter(json.loads(text), "k"))) == text


@given(FINITE_MANY)
@example({"type": "float", "low": 0.1, "high": 0.3, "step": 0.1})  # 0.1 + 2 * 0.1 is above 0.3
@example({"type": "float", "low": 0.05, "high": 0.6, "step": 0.05})
@example({"type": "float", "low": -0.3, "high": 8.4, "step": 0.3})  # -0.3 + 29 * 0.3 is below 8.4
def test_a_finite_distribution_has_the_values_that_are_declared(declared):
    distribution = parse_parameter(declared, "k")
    values = list(iterate_values(distribution))
    assert len(values) == n_values(distribution) == len(set(values))
    assert all(distribution._contains(distribution.to_internal_repr(v)) for v in values)
    if isinstance(declared, list):
        assert values == declared == extremes(distribution)
        return
    low, high, step = declared["low"], declared["high"], declared.get("step", 1)
    assert [values[0], values[-1]] == extremes(distribution) == [low, high]
    assert values == sorted(values)
    assert values == pytest.approx([low + i * step for i in range(round((high - low) / step) + 1)], rel=1e-12)


@given(ranges())
def test_a_range_of_real_numbers_is_infinite_unless_it_is_a_point(declared):
    distribution = parse_parameter(declared, "k")
    is_point = declared["low"] == declared["high"]
    assert n_values(distribution) == (1 if is_point else None)
    assert list(iterate_values(distribution)) == ([declared["low"]] if is_point else [])
    assert extremes(distribution) == [declared["low"], declared["high"]]


@given(STEPS.map(float), st.integers(-50, 50), st.integers(1, 60))
def test_a_grid_whose_bounds_were_computed_keeps_its_last_value(step, first, n):
    """As Python code declares one: low + n * step in floats, which may lie just beside the decimal number."""
    low = first * step
    distribution = parse_parameter({"type": "float", "low": low, "high": low + n * step, "step": step}, "k")
    assert n_values(distribution) == len(list(iterate_values(distribution))) == n + 1


ODD = st.one_of(st.none(), st.booleans(), TEXT, st.integers(-5, 5), st.floats(), st.sampled_from([10**9, 2**62]))


NUMBER = st.integers(-5, 5) | st.sampled_from([-0.5, 0.5, 1.0, 2.5])
TABLES = st.one_of(
    st.fixed_dictionaries(  # nearly right
        {"type": st.sampled_from(["int", "float"]), "low": NUMBER, "high": NUMBER, "log": st.booleans()},
        optional={"step": NUMBER | st.none()},
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["int", "float"]), "low": ODD, "high": ODD, "log": ODD}),
    st.fixed_dictionaries({"type": st.just("categorical"), "choices": ODD | st.lists(ODD, max_size=3)}),
    st.dictionaries(st.sampled_from(["type", "low", "high", "lwo", "choices"]), ODD),
    st.lists(ODD, max_size=3),
)


@settings(max_examples=300)
@given(TABLES)
def test_whatever_is_declared_is_a_distribution_or_one_line_that_names_the_key(declared):
    try:
        distribution = parse_parameter(declared, "width")
    except InvalidInputError as error:
        text = str(error)
    else:
        if isinstance(distribution, CategoricalDistribution):
            kinds = {type(c) for c in distribution.choices}
            assert kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str})
        else:
            assert math.isfinite(distribution.low)
            assert distribution.low <= distribution.high
            assert distribution.low > 0 or not distribution.log
        return
    assert "width" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "int", "low": 0, "high": 10**400},
        {"type": "float", "low": -1e308, "high": 1e308, "step": 1.0},
        {"type": "float", "low": 0.0, "high": 1.0, "step": 5e-324},
    ],
    ids=["bound", "difference", "quotient"],
)
def test_numbers_beyond_a_float_are_refused(declared):
    with pytest.raises(InvalidInputError, match="k"):
        parse_parameter(declared, "k")
