"""Training hyper-parameters that are searched with the architecture: declared, sampled, stored, trained with, shown."""

from __future__ import annotations

import json

import pytest

import nas_sens as ns
from nas_sens.core.identity import derive_seed
from nas_sens.models.card import render_card
from nas_sens.samplers.proposer import Proposer
from nas_sens.selection.features import selection_features
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.search_space import load_space
from tests.stored_candidates import trainings_in

FAMILIES = {"fc": {"depth": [1, 2], "width": 4, "init": "he_normal"}}
TRAINING = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1e-1, "log": True}, "optimizer": ["adam", "sgd"]}


def space(training=TRAINING, **changes):
    return ns.SearchSpace(**{"name": "tiny", "families": FAMILIES, "training": training, **changes})


def proposals(space, sampler, n):
    proposer = Proposer(space, sampler=sampler, seed=0, n_candidates=n)
    found = []
    for _ in range(n):
        proposal = proposer.ask()
        if proposal is None:
            break
        proposer.tell(proposal, 1.0)
        found.append(proposal)
    return found


def test_the_digest_holds_the_training_and_spaces_without_one_keep_theirs():
    digests = {space().digest, space({}).digest, space({"optimizer": ["adam", "sgd"]}).digest}
    assert len(digests) == 3
    assert space({}).digest == ns.SearchSpace(name="other", families=FAMILIES).digest
    assert "training" not in space({}).to_dict()
    again = ns.SearchSpace(**json.loads(json.dumps(space().to_dict())))
    assert again.digest == space().digest


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "nsga2"])
def test_every_sampler_draws_it(sampler):
    found = proposals(space(), sampler, 12)
    assert all(1e-3 <= p.training["learning_rate"] <= 1e-1 for p in found)
    assert {p.training["optimizer"] for p in found} == {"adam", "sgd"}
    assert all(p.params["training.learning_rate"] == p.training["learning_rate"] for p in found)
    assert (
        len({p.digest for p in found})
        == sum(not p.is_repeat for p in found)
        > len({p.architecture.digest for p in found})
    )


def test_a_finite_space_is_enumerated_with_it():
    finite = space({"batch_size": [16, 32], "optimizer": ["adam", "sgd"], "momentum": 0.5})
    assert finite.cardinality == 8
    found = proposals(finite, "enumerate", 20)
    assert len(found) == len({p.digest for p in found}) == 8
    assert all(p.training["momentum"] == 0.5 and "training.momentum" not in p.params for p in found)
    assert space().cardinality is None


def test_sampling_of_architectures_is_as_without_it():
    with_it, without = (proposals(s, "random", 1)[0] for s in (space(), space({})))
    assert with_it.architecture == without.architecture
    assert without.digest == without.architecture.digest != with_it.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte = 0.1", "unknown key 'training.learning_rte'; did you mean 'learning_rate'?"),
        ("epochs = [3, 4]", "unknown key 'training.epochs'"),
        ("learning_rate = [0.1, -1.0]", "training.learning_rate must be greater than 0; given -1.0"),
        ('optimizer = ["adam", "adan"]', "training.optimizer must be 'adam', 'adamw'"),
        ("momentum = { type = 'float', low = 0.5, high = 1.0 }", "training.momentum must be less than 1; given 1.0"),
    ],
)
def test_wrong_tables_are_one_line(tmp_path, text, message):
    (tmp_path / "s.toml").write_text(f"[fc]\ndepth = 1\nwidth = 4\n[training]\n{text}\n")
    with pytest.raises(ns.InvalidInputError) as error:
        load_space(tmp_path / "s.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def study(**changes):
    values = {
        "name": "tiny",
        "search_space": space(),
        "data": ns.DataSpec(name="digits", train_samples=60),
        "score": ns.ScoreSpec(n_inputs=16, seeds=2),
        "search": ns.SearchSpec(n_candidates=6),
        "select": ns.SelectSpec(rule="pareto", top_k=1, control=1),
        "train": ns.TrainSpec(epochs=2, seeds=1),
    }
    return ns.StudySpec(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_space": space({"nesterov": [False, True]})}, 'needs optimizer "sgd" and a momentum above 0'),
        ({"train": ns.TrainSpec(table="a.csv")}, "searches their training, too; remove its table [training]"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_done(tmp_path, changes, message):
    with pytest.raises(ns.InvalidInputError) as error:
        ns.search(study(**changes), storage=f"sqlite:///{tmp_path}/a.db")
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_candidates_are_stored_trained_and_shown_with_it(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    result = ns.search(study(), storage=url)
    assert len(result.candidates) == len({c.digest for c in result.candidates}) == 6
    assert StudyStorage(url).scored("tiny") == list(result.candidates)
    by_architecture = {c.architecture: c.log10_sensitivity for c in result.candidates}
    assert all(c.log10_sensitivity == by_architecture[c.architecture] for c in result.candidates)
    data = ns.load_data(study().data)
    scored = {c.digest: c for c in result.candidates}
    for trial in result.trials:
        assert trial.training == scored[trial.digest].training
        spec = ns.TrainSpec(epochs=2, seeds=1, **trial.training)
        outcome = ns.train(ns.load_spec(trial.architecture), data, spec, seed=derive_seed("training", 0, 0))
        assert trial.val_loss == outcome.val_loss
        assert f"learning_rate={trial.training['learning_rate']:.3g}" in trial.description
        row = result.frame().set_index("digest").loc[trial.digest]
        assert row["training_optimizer"] == trial.training["optimizer"]
    trials = trainings_in(url, "tiny")
    assert {t.params["training.optimizer"] for t in trials} <= {"adam", "sgd"}
    features = selection_features(result.candidates[0]).features
    assert features["training_learning_rate"] == result.candidates[0].training["learning_rate"]
    StudyStorage(url).fetch_artifact("tiny", result.best.number, "config.json", tmp_path / "config.json")
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["nas_sens"]["study"]["train"]["learning_rate"] == result.best.training["learning_rate"]
    assert config["nas_sens"]["figures"]["training"] == result.best.training
    assert "learning_rate=" in render_card(config).split("\n## ")[0]
    assert ns.search(study(), storage=url) == result
