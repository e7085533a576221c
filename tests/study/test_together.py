"""Keys of [train] that are chosen together."""

from __future__ import annotations

import itertools
import json

import pytest

import nas_sens as ns
from nas_sens.samplers.proposer import Proposer
from nas_sens.study.consistency import check_declaration
from nas_sens.study.together import expanded, names_of

FAMILIES = {"fc": {"depth": [1, 2], "width": 4, "init": "he_normal"}}
TABLES = [
    {"optimizer": "adam", "batch_size": 32, "learning_rate": 2e-3},
    {"optimizer": "lbfgs", "batch_size": "full", "learning_rate": 1.0},
]


def space(training):
    return ns.SearchSpace(name="tiny", families=FAMILIES, training=training)


def test_every_architecture_meets_every_table_and_no_mixture():
    found = space({"together": TABLES, "label_noise": [0.0, 0.9], "momentum": 0.5})
    assert found.cardinality == 8
    assert found.training_names == ["batch_size", "label_noise", "learning_rate", "momentum", "optimizer"]
    drawn = [found.training_of(params) for params in found.enumerate()]
    slow = [
        {"momentum": 0.5, "label_noise": noise, **table}
        for _, noise, table in itertools.product((1, 2), (0.0, 0.9), TABLES)
    ]
    assert sorted(map(json.dumps, (dict(sorted(d.items())) for d in drawn))) == sorted(
        map(json.dumps, (dict(sorted(d.items())) for d in slow))
    )
    assert sorted({d["optimizer"] for d in found.training_corners()}) == ["adam", "lbfgs"]
    assert len(list(found.training_corners())) == 4


def test_it_is_sampled_and_comes_back_from_its_dictionary():
    found = space({"together": TABLES})
    again = ns.SearchSpace(**json.loads(json.dumps(found.to_dict())))
    assert again.digest == found.digest
    assert again == found
    proposer = Proposer(again, sampler="random", seed=0, n_candidates=4)
    drawn = []
    while (proposal := proposer.ask()) is not None and len(drawn) < 20:
        proposer.tell(proposal, 1.0)
        drawn.append(proposal)
    assert {json.dumps(p.training, sort_keys=True) for p in drawn} == {json.dumps(t, sort_keys=True) for t in TABLES}


def test_mixtures_that_cannot_be_trained_are_refused_where_tables_are_not():
    values = {"name": "s", "data": ns.DataSpec(name="digits")}
    check_declaration(ns.StudySpec(**values, search_space=space({"together": TABLES})))
    mixed = space({"optimizer": ["adam", "lbfgs"], "batch_size": 32})
    with pytest.raises(ns.InvalidInputError, match="batch_size"):
        check_declaration(ns.StudySpec(**values, search_space=mixed))


def test_names_and_values_without_it_are_left_alone():
    assert expanded({"momentum": 0.5}) == {"momentum": 0.5}
    assert names_of({"b": 1, "a": 2}) == ["a", "b"]


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"together": TABLES[:1]}, "at least two tables with the same keys"),
        ({"together": [TABLES[0], {"optimizer": "sgd"}]}, "at least two tables with the same keys"),
        ({"together": "adam"}, "at least two tables"),
        ({"together": ["adam", "sgd"]}, "at least two tables"),
        ({"together": [TABLES[0], TABLES[0]]}, "must differ"),
        ({"together": [{"optimiser": "adam"}, {"optimiser": "sgd"}]}, "did you mean 'optimizer'?"),
        ({"together": [{"optimizer": "adam"}, {"optimizer": "sdg"}]}, "training.together.optimizer must be"),
        ({"together": [{"momentum": [0.1]}, {"momentum": [0.2]}]}, "must be a plain value"),
        ({"together": TABLES, "batch_size": 8}, "training.batch_size must not stand beside training.together"),
        ({"togehter": TABLES}, "did you mean 'together'?"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(training, words):
    with pytest.raises(ns.InvalidInputError) as caught:
        space(training)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


SIZES = [{"channels": 4, "hidden_units": 8}, {"channels": 12, "hidden_units": 24}]


def test_parameters_of_a_family_that_go_together_are_one_choice():
    declared = {"cnn": {"depth": [1, 2], "together": SIZES, "init": "he_normal"}}
    found = ns.SearchSpace(name="tied", families=declared, constraints={"channels": {"max": 10}})
    assert found.cardinality == 4
    slow = {
        ns.CNNSpec(depth=depth, init="he_normal", **sizes).digest for depth, sizes in itertools.product((1, 2), SIZES)
    }
    assert {found.architecture(params).digest for params in found.enumerate()} == slow
    again = ns.SearchSpace(**json.loads(json.dumps(found.to_dict())))
    assert again.digest == found.digest
    assert {found.sample(seed=seed).channels for seed in range(8)} == {4}  # the constraint is on what was chosen


def test_a_family_of_a_union_has_its_own_tables():
    families = {"fc": {**FAMILIES["fc"]}, "cnn": {"depth": 1, "together": SIZES, "init": "he_normal"}}
    found = ns.SearchSpace(name="both", families=families)
    drawn = [found.architecture(params) for params in found.enumerate()]
    assert sorted((a.family, getattr(a, "channels", 0)) for a in drawn) == [
        ("cnn", 4),
        ("cnn", 12),
        ("fc", 0),
        ("fc", 0),
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"together": [{"chanels": 4}, {"chanels": 8}]}, "did you mean 'channels'?"),
        ({"together": SIZES, "channels": 4}, "cnn.channels must not stand beside cnn.together"),
        ({"together": [{"channels": 4}, {"channels": 0}]}, "cnn.together.channels must be"),
        ({"togehter": SIZES}, "did you mean 'together'?"),
    ],
)
def test_what_is_wrong_in_a_family_is_told_in_one_line(table, words):
    with pytest.raises(ns.InvalidInputError) as caught:
        ns.SearchSpace(name="tied", families={"cnn": {"depth": 1, "init": "he_normal", **table}})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
