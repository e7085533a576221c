"""Search spaces: what equal declarations share, unions, constraints, enumeration, and the bundled ones."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from nas_sens.architectures import count_params
from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.declarations import bundled
from nas_sens.core.errors import InfeasibleArchitectureError, InvalidInputError
from nas_sens.study.search_space import SearchSpace, load_space

SHORT = """
name = "mine"
[fc]
depth = {type = "int", low = 1, high = 3}
width = [4, 8]
init = "he_normal"
[constraints]
params = {max = 1_000}
depth = {min = 2}
"""
LONG = """
name = "other"
description = "the same in other words"
[constraints]
depth = {min = 2}
params = {max = 1_000}
[fc]
init = "he_normal"
width = {type = "categorical", choices = [4, 8]}
depth = {type = "int", low = 1, high = 3, log = false, step = 1}
"""
PINNED_DIGEST = "2530c860e0f2c235"  # stored in every study; a change makes all of them impossible to resume
UNION = {
    "fc": {"depth": [1, 2], "width": {"type": "int", "low": 2, "high": 4}},
    "cnn": {"depth": 1, "channels": [2, 3], "max_pool": [False, True]},
}


def write(tmp_path, text, name="mine.toml"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def fc(constraints=None, **parameters) -> SearchSpace:
    return SearchSpace(
        name="mine", families={"fc": {"depth": 1, "width": 4, **parameters}}, constraints=constraints or {}
    )


def test_short_and_long_forms_are_one_space(tmp_path):
    short, long = load_space(write(tmp_path, SHORT)), load_space(write(tmp_path, LONG, "long.toml"))
    in_python = SearchSpace(
        name="mine",
        families={
            "fc": {"depth": IntDistribution(1, 3), "width": CategoricalDistribution([4, 8]), "init": "he_normal"}
        },
        constraints={"params": {"max": 1000}, "depth": {"min": 2}},
    )
    assert short.digest == long.digest == in_python.digest == PINNED_DIGEST
    assert short == long == in_python
    assert hash(short) == hash(long)
    assert (short.name, long.name, long.description) == ("mine", "other", "the same in other words")
    assert [short.sample(seed=s) for s in range(5)] == [long.sample(seed=s) for s in range(5)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("high = 3", "high = 4"),
        ("[4, 8]", "[4, 9]"),
        ("[4, 8]", "[8, 4]"),
        ("he_normal", "he_uniform"),
        ("1_000", "1_001"),
        ("min = 2", "max = 2"),
        ('init = "he_normal"', 'init = "he_normal"\nbias = true'),
    ],
)
def test_every_difference_in_content_is_another_digest(tmp_path, old, new):
    assert SHORT.count(old) == 1
    assert load_space(write(tmp_path, SHORT.replace(old, new))).digest != PINNED_DIGEST


def test_a_space_goes_through_a_dict_and_back():
    for space in (load_space("fc_vs_cnn"), load_space("init")):
        assert SearchSpace(**space.to_dict()) == space


def test_a_space_is_frozen_and_does_not_share_its_arguments():
    families, constraints = {"fc": {"depth": 1, "width": [4, 8]}}, {"params": {"max": 9}}
    space = SearchSpace(name="mine", families=families, constraints=constraints)
    families["fc"]["depth"], constraints["params"]["max"] = 7, 8
    assert space.families["fc"]["depth"] == 1
    assert space.constraints == {"params": {"max": 9}}
    with pytest.raises(FrozenInstanceError):
        space.name = "other"


def test_load_space_takes_names_paths_and_spaces(tmp_path):
    path = write(tmp_path, SHORT.replace('name = "mine"\n', ""), "of_the_file.toml")
    assert load_space(path).name == "of_the_file"
    assert load_space(str(path)).digest == PINNED_DIGEST
    assert load_space("of_the_file.toml", beside=tmp_path).digest == PINNED_DIGEST
    space = load_space("fc")
    assert load_space(space) is space


def test_one_family_has_bare_names():
    space = fc(width=[4, 8])
    assert space.family_distribution is None
    assert set(space.distributions("fc")) == {"width"}
    assert space.architecture({"width": 8}) == FCSpec(depth=1, width=8)
    assert set(space.trial_distributions({"width": 8})) == {"width"}


def test_unions_have_prefixes_and_a_family():
    space = SearchSpace(name="mine", families=UNION)
    assert space.family_distribution == CategoricalDistribution(["cnn", "fc"])
    assert set(space.distributions("cnn")) == {"cnn.channels", "cnn.max_pool"}
    assert set(space.trial_distributions({"family": "fc"})) == {"family", "fc.depth", "fc.width"}
    params = {"family": "cnn", "cnn.channels": 3, "cnn.max_pool": True, "fc.depth": 2}
    assert space.architecture(params) == CNNSpec(depth=1, channels=3, max_pool=True)
    assert {type(space.sample(seed=s)) for s in range(10)} == {FCSpec, CNNSpec}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"params": 99}, "params = 99 is below the minimum of 100"),
        ({"params": 100}, None),
        ({"params": 200}, None),
        ({"params": 201}, "params = 201 is above the maximum of 200"),
        ({"flops": 1}, None),
        ({"width": 9}, "width = 9 is above the maximum of 8"),
        ({"channels": 3}, None),
        ({}, None),
    ],
)
def test_constraints(values, problem):
    space = fc({"params": {"min": 100, "max": 200}, "width": {"max": 8}}, width=[4, 8, 9])
    assert space.violation(values) == problem


def test_samples_meet_the_constraints_on_declared_parameters():
    space = fc({"width": {"min": 90}}, width={"type": "int", "low": 1, "high": 100})
    assert all(space.sample(seed=s).width >= 90 for s in range(20))


def test_a_space_that_has_nothing_is_told():
    with pytest.raises(InvalidInputError, match="no architecture meets the constraints; widen them"):
        fc({"width": {"min": 9}}, width=[4, 8]).sample()


def test_a_union_may_constrain_what_one_family_has():
    space = SearchSpace(name="mine", families=UNION, constraints={"width": {"max": 2}})
    assert space.violation(CNNSpec(depth=1, channels=2).to_dict()) is None
    assert space.violation(FCSpec(depth=1, width=3).to_dict()) == "width = 3 is above the maximum of 2"


@pytest.mark.parametrize(
    ("families", "size"),
    [
        ({"fc": {"depth": 1, "width": 4}}, 1),
        ({"fc": {"depth": [1, 2, 3], "width": 4}}, 3),
        (
            {
                "fc": {
                    "depth": {"type": "int", "low": 1, "high": 3},
                    "width": {"type": "int", "low": 2, "high": 9, "log": True},
                }
            },
            24,
        ),
        ({"fc": {"depth": 1, "width": 4, "dropout": {"type": "float", "low": 0.1, "high": 0.3, "step": 0.1}}}, 3),
        (UNION, 2 * 3 + 2 * 2),
        ({"fc": {"depth": 1, "width": 4}, "cnn": {"depth": 1, "channels": [1, 2]}}, 3),
    ],
)
def test_enumeration_is_complete_and_without_repeats(families, size):
    space = SearchSpace(name="mine", families=families)
    listed = list(space.enumerate())
    assert space.cardinality == len(listed) == size
    assert len({space.architecture(p).digest for p in listed}) == size
    for params in listed:
        assert set(params) == set(space.trial_distributions(params))
        assert all(d._contains(d.to_internal_repr(params[k])) for k, d in space.trial_distributions(params).items())


def test_a_continuous_parameter_makes_a_space_infinite():
    space = fc(dropout={"type": "float", "low": 0.0, "high": 0.5})
    assert space.cardinality is None
    union = SearchSpace(
        name="mine", families={**UNION, "fc": {**UNION["fc"], "dropout": space.families["fc"]["dropout"]}}
    )
    assert union.cardinality is None


def test_samples_depend_on_the_seed():
    space = load_space("fc")
    assert space.sample(seed=3) == space.sample(seed=3)
    assert len({space.sample(seed=s) for s in range(10)}) > 5


@pytest.mark.parametrize("name", bundled("search_spaces"))
def test_bundled_spaces_load_and_give_feasible_architectures(name):
    space = load_space(name)
    assert space.description
    n_feasible = 0
    for seed in range(40):
        spec = space.sample(seed=seed)
        try:
            params = count_params(spec.skeleton((1, 28, 28), 10))
        except InfeasibleArchitectureError:
            continue
        n_feasible += space.violation({**spec.to_dict(), "params": params}) is None
    assert n_feasible >= 3


@pytest.mark.parametrize("bad", [None, 3, {}, {"fc": 3}, {"fcc": {}}])
def test_families_built_in_python_are_checked_too(bad):
    with pytest.raises(InvalidInputError, match=r"^search space: "):
        SearchSpace(name="mine", families=bad)
