"""Parameters near others: always in the space, never the same, every value within reach."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

import nas_sens as ns
from nas_sens.study.distributions import iterate_values, n_values, parse_parameter
from nas_sens.study.neighbours import another, anywhere, crossed, mutated, near, place_of, value_at

INTS = st.integers(-1000, 10**6)
SIZES = st.integers(1, 10**6)


@st.composite
def numeric(draw: st.DrawFn) -> BaseDistribution:
    """A distribution of numbers with more than one value: of each kind, as a space declares them."""
    kind = draw(st.sampled_from(["int", "step", "log", "float", "float step", "float log"]))
    if kind == "int":
        low = draw(INTS)
        return IntDistribution(low, low + draw(SIZES))
    if kind == "step":
        low, step = draw(INTS), draw(st.integers(2, 1000))
        return IntDistribution(low, low + step * draw(st.integers(1, 1000)), step=step)
    if kind == "log":
        low = draw(st.integers(1, 1000))
        return IntDistribution(low, low + draw(SIZES), log=True)
    if kind == "float log":
        start = draw(st.floats(1e-9, 1e3))
        return FloatDistribution(start, start * draw(st.floats(1.01, 1e9)), log=True)
    start = draw(st.floats(-1e6, 1e6))
    if kind == "float":
        return FloatDistribution(start, start + draw(st.floats(1e-3, 1e6)))
    first, step = draw(st.integers(-100, 100)), draw(st.sampled_from([0.1, 0.05, 0.25, 0.3, 2.0]))
    table = {"type": "float", "low": first * step, "high": (first + draw(st.integers(1, 200))) * step, "step": step}
    found = parse_parameter(table, "x")
    assert isinstance(found, FloatDistribution)
    return found


choices = st.lists(st.integers(), min_size=2, max_size=5, unique=True).map(CategoricalDistribution)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    kind = int if isinstance(distribution, IntDistribution) else float
    return type(value) is kind and distribution._contains(value)


@given(distribution=st.one_of(numeric(), choices), seed=st.integers(0, 2**32))
def test_another_value_is_another_value_of_the_distribution(distribution: BaseDistribution, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if isinstance(distribution, CategoricalDistribution):
        value = distribution.choices[int(rng.integers(len(distribution.choices)))]
    else:
        value = value_at(distribution, float(rng.choice([0.0, 1.0, rng.random()])))
    assert contains(distribution, value)
    for _ in range(20):
        found = another(distribution, value, rng)
        assert contains(distribution, found)
        assert found != value
        if n_values(distribution) is not None and not isinstance(distribution, CategoricalDistribution):
            steps = round((found - distribution.low) / (distribution.step or 1))
            assert math.isclose(found, distribution.low + steps * (distribution.step or 1), abs_tol=1e-9)
        value = found


@given(distribution=numeric(), place=st.floats(0, 1))
def test_places_and_values_are_each_others_inverse(distribution: BaseDistribution, place: float) -> None:
    value = value_at(distribution, place)
    found = place_of(distribution, value)
    assert 0 <= found <= 1
    n = n_values(distribution)
    if n is None:
        assert found == pytest.approx(place, abs=1e-6)
    elif distribution.log:
        assert abs(math.log((value + 0.5) / (value - 0.5))) >= abs(found - place) * math.log(
            (distribution.high + 0.5) / (distribution.low - 0.5)
        ) * (1 - 1e-9)
    else:
        assert abs(found - place) <= 0.5 / n + 1e-9
    assert value_at(distribution, found) == pytest.approx(value, rel=1e-9)
    assert value_at(distribution, 0.0) == pytest.approx(distribution.low, rel=1e-12)
    assert value_at(distribution, 1.0) == pytest.approx(distribution.high, rel=1e-12)


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "int", "low": 1, "high": 12},
        {"type": "int", "low": -4, "high": 20, "step": 3},
        {"type": "int", "low": 1, "high": 30, "log": True},
        {"type": "float", "low": 0.1, "high": 0.9, "step": 0.1},
        ["relu", "tanh", "elu"],
        [True, False],
    ],
)
def test_every_value_is_within_reach_of_every_other(declared: Any) -> None:
    distribution = parse_parameter(declared, "x")
    values = list(iterate_values(distribution))
    rng = np.random.default_rng(0)
    for value in (values[0], values[len(values) // 2], values[-1]):
        assert {another(distribution, value, rng) for _ in range(1500)} == set(values) - {value}


def test_steps_are_on_the_declared_scale_and_mostly_short() -> None:
    rng = np.random.default_rng(0)
    log = FloatDistribution(1e-6, 1.0, log=True)
    moved = np.array([another(log, 1e-3, rng) for _ in range(2000)])
    assert 0.45 < np.mean(moved < 1e-3) < 0.55, "as often smaller as larger, in the middle of its scale"
    assert 0.45 < np.mean(np.abs(np.log10(moved / 1e-3)) < 0.15 * 6) < 0.65
    plain = np.array([another(IntDistribution(0, 1000), 500, rng) for _ in range(2000)])
    assert 0.5 < np.mean(np.abs(plain - 500) < 150) < 0.68


FC = {"depth": {"type": "int", "low": 1, "high": 6}, "width": {"type": "int", "low": 4, "high": 400, "log": True},
      "dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.1}, "activation": ["relu", "tanh"],
      "init": "he_normal"}  # fmt: skip
CNN = {"channels": {"type": "int", "low": 2, "high": 64}, "depth": [1, 2]}
TRAINING = {"learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}, "batch_size": [16, 32]}
SPACES = {
    "one": ns.SearchSpace(name="one", families={"fc": FC}),
    "training": ns.SearchSpace(name="training", families={"fc": FC}, training=TRAINING),
    "union": ns.SearchSpace(name="union", families={"fc": FC, "cnn": CNN}, training=TRAINING),
    "fixed": ns.SearchSpace(
        name="fixed", families={"fc": {"depth": 1, "width": 2}, "cnn": {"depth": 1, "channels": 3}}
    ),
}


def check_member(space: ns.SearchSpace, params: dict[str, Any]) -> None:
    distributions = space.trial_distributions(params)
    assert list(params) == list(distributions)
    assert all(contains(d, params[k]) for k, d in distributions.items())
    space.architecture(params)
    space.training_of(params)


@pytest.mark.parametrize("name", SPACES)
def test_children_are_of_the_space_and_no_copies(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(1)
    parents = [anywhere(space, rng) for _ in range(5)]
    kept = [dict(p) for p in parents]
    changed: list[int] = []
    families = set()
    for _ in range(300):
        child = near(space, parents, rng)
        check_member(space, child)
        one = parents[0]
        mutant = mutated(space, one, rng)
        check_member(space, mutant)
        assert mutant != one
        families.add(space.family_of(mutant))
        if space.family_of(mutant) == space.family_of(one):
            changed.append(sum(mutant[k] != one[k] for k in one))
        same = [p for p in parents[1:] if space.family_of(p) == space.family_of(one)]
        if same:
            mixed = crossed(space, one, same[0], rng)
            check_member(space, mixed)
            assert mixed != one
            if sum(one[k] != same[0][k] for k in one) > 1:
                assert mixed != same[0]
                assert all(mixed[k] in (one[k], same[0][k]) for k in mixed)
    assert parents == kept, "parents stay as they are"
    assert families | {space.family_of(one)} == set(space.families)
    assert not changed or set(changed) >= {1, 2}


def test_all_of_a_small_space_is_found_from_one_member() -> None:
    fc = {"depth": {"type": "int", "low": 1, "high": 4}, "width": [3, 5]}
    space = ns.SearchSpace(name="small", families={"fc": fc, "cnn": {"channels": [2, 3, 4], "depth": [1, 2]}})
    rng = np.random.default_rng(0)
    known = [anywhere(space, rng)]
    for _ in range(1500):
        if (child := near(space, known[-5:], rng)) not in known:
            known.append(child)
    assert len(known) == space.cardinality == 14


def test_where_there_is_nothing_else_it_stays() -> None:
    space = ns.SearchSpace(name="point", families={"fc": {"depth": 1, "width": [7]}})
    params = anywhere(space, np.random.default_rng(0))
    assert mutated(space, params, np.random.default_rng(0)) == params
    assert crossed(space, params, dict(params), np.random.default_rng(0)) == params


def test_the_same_stream_gives_the_same_children() -> None:
    space = SPACES["union"]

    def children(seed: int) -> list[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        parents = [anywhere(space, rng) for _ in range(3)]
        return [near(space, parents, rng) for _ in range(30)]

    assert children(3) == children(3)
    assert children(3) != children(4)
