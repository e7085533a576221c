"""Lists as parameters: one parameter a place, in samplers, neighbours, constraints, features and the database."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

import nas_sens as ns
from nas_sens.architectures import load_spec
from nas_sens.core.candidates import TrainedCandidate, describe
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.toml_reader import read_toml
from nas_sens.metrics.closed_form.expectation import InputMoments, closed_form, closed_form_batch
from nas_sens.results.quantities import value_of
from nas_sens.selection.features import choices_of
from nas_sens.study.lists import ListOf, parse_declared
from nas_sens.study.load import load_study
from nas_sens.study.neighbours import crossed, mutated
from nas_sens.study.search_space import SearchSpace, load_space

INT = {"type": "int", "low": 2, "high": 4}
TOML = """
[fc]
width = { type = "list", length = 3, of = { type = "int", low = 2, high = 4 } }
[constraints]
width_0 = { max = 3 }
"""


def fc(width, constraints=None, **more) -> SearchSpace:
    return SearchSpace(name="mine", families={"fc": {"width": width, **more}}, constraints=constraints or {})


def items(*values):
    return {"type": "list", "items": list(values)}


def test_equal_declarations_are_one_space(tmp_path):
    (tmp_path / "mine.toml").write_text(TOML)
    declared = load_space(tmp_path / "mine.toml")
    other = fc(items(INT, INT, INT), {"width_0": {"max": 3}})
    assert declared == other
    assert SearchSpace(**json.loads(json.dumps(declared.to_dict()))) == declared
    assert declared != fc(items(INT, INT, 3), {"width_0": {"max": 3}})


def test_every_place_is_a_parameter_of_its_own():
    space = fc(items(INT, [8, 16], 5))
    assert list(space.all_distributions) == ["width_0", "width_1"]
    assert space.cardinality == 6
    built = [space.architecture(p) for p in space.enumerate()]
    assert {a.width for a in built} == {(a, b, 5) for a in (2, 3, 4) for b in (8, 16)}
    assert {a.depth for a in built} == {3}
    assert len({a.digest for a in built}) == 6
    assert all(space.sample(seed=s).width[2] == 5 for s in range(5))


def test_a_plain_list_is_still_a_choice():
    space = fc([3, 4], depth=1)
    assert {space.architecture(p).width for p in space.enumerate()} == {3, 4}


def test_in_a_union_places_have_the_prefix_of_their_family():
    space = SearchSpace(name="u", families={"fc": {"width": items(INT)}, "cnn": {"channels": items(INT, 3)}})
    assert set(space.all_distributions) == {"family", "fc.width_0", "cnn.channels_0"}
    spec = space.architecture({"family": "cnn", "cnn.channels_0": 4})
    assert (spec.channels, spec.depth) == ((4, 3), 2)


def staged(input_shape, n_outputs, *, widths: list[int], repeats: tuple[int, ...] = (1,)) -> torch.nn.Module:
    """Return a network whose hidden layers have the given widths."""
    assert isinstance(widths, tuple)
    sizes = [input_shape[0], *widths, n_outputs]
    return torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def test_functions_take_lists_too():
    space = SearchSpace(name="own", families={staged: {"widths": ns.ListOf([ns.Int(2, 4), ns.Choice([5, 6]), 7])}})
    assert set(space.all_distributions) == {"widths_0", "widths_1"}
    spec = space.architecture({"widths_0": 3, "widths_1": 6})
    assert load_spec(spec.to_json()) == spec
    assert hash(spec) == hash(load_spec(spec.to_json()))
    assert [tuple(p.shape) for p in spec.build((4,), 2).parameters()][::2] == [(3, 4), (6, 3), (7, 6), (2, 7)]
    with pytest.raises(InvalidInputError, match="must be a valid integer"):
        SearchSpace(name="own", families={staged: {"widths": items("a")}})


def test_neighbours_change_and_mix_places():
    space = fc(items(*[{"type": "int", "low": 1, "high": 9}] * 4))
    rng = np.random.default_rng(0)
    low, high = ({f"width_{i}": v for i in range(4)} for v in (1, 9))
    children = [crossed(space, low, high, rng) for _ in range(50)]
    assert all({1, 9} == set(c.values()) for c in children)
    mutants = [mutated(space, low, rng) for _ in range(50)]
    assert all(m != low for m in mutants)
    assert {k for m in mutants for k in m if m[k] != 1} == set(low)


def test_constraints_hold_at_places():
    space = fc(items(INT, INT), {"width_1": {"max": 2}})
    assert all(space.sample(seed=s).width[1] == 2 for s in range(20))
    with pytest.raises(InvalidInputError, match=r"unknown key 'constraints\.width_2'"):
        fc(items(INT, INT), {"width_2": {"max": 2}})


def test_selection_sees_every_place():
    spec = load_spec({"family": "fc", "width": [5, 3]})
    chosen = choices_of(json.loads(spec.to_json()), {})
    assert (chosen["fc.width.0"], chosen["fc.width.1"]) == (5, 3)


def test_texts_and_figures_know_lists():
    text = load_spec({"family": "fc", "width": [500, 300, 100], "bias": "first"}).to_json()
    assert describe(text) == "fc depth=3 width=500-300-100 init=torch_default bias=first"
    one = TrainedCandidate(digest="a", architecture=text, params=1, flops=1, candidate=0, chosen_by="control")
    assert value_of(one, "width") == "500-300-100"
    assert [value_of(one, f"width_{i}") for i in range(4)] == [500, 300, 100, None]


def test_the_page_on_search_spaces_declares_what_it_says(tmp_path):
    page = (Path(ns.__file__).parents[1] / "docs" / "guides" / "search_spaces.md").read_text()
    written = re.findall(r"^\| `((?:width|widths|depths|depth) = .+?)` \|", page, re.MULTILINE)
    assert len(written) == 6
    for line in written:
        name, _, value = line.partition(" = ")
        (tmp_path / "t.toml").write_text(line)
        assert isinstance(parse_declared(read_toml(tmp_path / "t.toml")[name], name), ListOf) is ('"list"' in value)


def test_the_full_size_may_have_another_list(tmp_path):
    (tmp_path / "s.toml").write_text("""
[data]
name = "digits"
[search_space.fc]
width = { type = "list", items = [4, 8] }
[full.search_space.fc]
width = { type = "list", length = 3, of = [100, 200] }
[search]
sampler = "enumerate"
""")
    small, full = (load_study(tmp_path / "s.toml", full=f).search_space for f in (False, True))
    assert (small.cardinality, full.cardinality) == (1, 8)
    assert {a.width for a in map(full.architecture, full.enumerate())} == set(itertools.product([100, 200], repeat=3))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": items(1, 2, 3), "depth": 2}, "needs as many values of width as hidden layers (depth), 2; given 3"),
        ({"width": items(1, 2), "depth": {"type": "int", "low": 2, "high": 3}}, "hidden layers (depth), 3; given 2"),
        ({"width": items(1, 0)}, "fc.width must be greater than or equal to 1; given [1, 0]"),
        ({"width": items(3, {"type": "int", "low": 0, "high": 2})}, "greater than or equal to 1; given [3, 0]"),
        ({"width": items()}, "fc.width.items must be a list of 1 to 1,000 values; given []"),
        ({"width": items(1, items(2))}, "fc.width.items.1.type must be 'int', 'float' or 'categorical'"),
        ({"width": {"type": "list", "length": 2}}, "the key 'fc.width.of' is required but missing"),
        ({"width": {"type": "list", "length": True, "of": 2}}, "fc.width.length must be a whole number from 1"),
        ({"width": {"type": "list", "items": [1], "length": 2}}, "fc.width must have items, or length and of"),
        ({"width": {"type": "list", "item": [1]}}, "unknown key 'fc.width.item'; did you mean 'items'?"),
        ({"width": {"type": "list", "length": 1, "of": {"type": "int"}}}, "the key 'fc.width.of.low' is required"),
        ({"width": [[1, 2], [3]]}, 'a list as the value is declared as { type = "list", items = […] }'),
        ({"width": items(3, 4), "taper": 0.5}, "needs a taper of 1 with a list of widths; given 0.5"),
        ({"width": 3}, "the key 'fc.depth' is required but missing"),
        ({"width": 3, "depth": items(1)}, "fc.depth must be"),
        ({"width": 3, "depth": 1, "bias": "last"}, "fc.bias must be true, false or 'first'; given 'last'"),
    ],
)
def test_wrong_lists_are_told_in_one_line(parameters, message):
    with pytest.raises(InvalidInputError) as caught:
        SearchSpace(name="mine", families={"fc": parameters})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("depths", "message"),
    [
        ([1, 2, 3], "mbconv.depths must be a list with a value for every stage, which a space declares as { type = "),
        ([1, 2, 2], "mbconv.depths.choices must differ from each other; a list as the value is declared as { type = "),
    ],
)
def test_a_choice_where_a_list_must_be_is_told_how_to_write_it(depths, message):
    with pytest.raises(InvalidInputError) as caught:
        SearchSpace(name="m", families={"mbconv": {"depths": depths, "widths": items(8, 8, 8)}})
    assert message in str(caught.value)


def test_what_is_searched_of_training_is_no_list():
    with pytest.raises(InvalidInputError, match=r"training.batch_size.type must be 'int', 'float' or 'categorical'"):
        SearchSpace(name="m", families={"fc": {"width": 3, "depth": 1}}, training={"batch_size": items(3)})


def test_fully_connected_lists_have_the_closed_form_of_their_modules():
    x = torch.rand(8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moments = InputMoments.from_inputs(x, 0.1)
    specs = [
        load_spec({"family": "fc", "width": w, "bias": b})
        for w in ([7, 5, 3], [3, 5, 6], [4, 4, 4])
        for b in (True, False, "first")
    ]
    together = closed_form_batch(specs, moments, n_outputs=4)
    for spec, found in zip(specs, together, strict=True):
        alone = closed_form(spec, moments, n_outputs=4)
        assert found.log10_sensitivity == pytest.approx(alone.log10_sensitivity, abs=1e-12)
    assert len({r.log10_sensitivity for r in together}) == 9
    equal = closed_form(load_spec({"family": "fc", "width": 4, "depth": 3}), moments, n_outputs=4)
    assert equal.log10_sensitivity == pytest.approx(together[6].log10_sensitivity, abs=1e-12)


def test_a_study_stores_resumes_and_exports_lists(tmp_path):
    space = SearchSpace(
        name="lists", families={"fc": {"width": items(INT, 4)}, "cnn": {"channels": items(INT, 2), "bias": "first"}}
    )
    url = f"sqlite:///{tmp_path / 'a.db'}"

    def search(top_k):
        spec = ns.StudySpec(
            name="lists", search_space=space, data=ns.DataSpec(name="digits", train_samples=100, val_samples=50),
            search=ns.SearchSpec(n_candidates=6), select=ns.SelectSpec(top_k=top_k, control=0),
            train=ns.TrainSpec(epochs=1, seeds=1),
        )  # fmt: skip
        return ns.search(spec, storage=url)

    first, second = search(1), search(2)
    assert (len(first.trials), len(second.trials)) == (1, 2)
    study = optuna.load_study(study_name="lists", storage=url)
    names = {name for trial in study.trials for name in trial.params}
    assert names == {"family", "fc.width_0", "cnn.channels_0"}
    best = ns.load_architecture(url, "lists")
    values = best.width if best.family == "fc" else best.channels
    assert values[0] in (2, 3, 4)
    model = ns.load_model(url, "lists")
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 10)
