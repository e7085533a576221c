"""Arrays that are recorded in trainings: when, of what, how they are combined, stored and read back."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import optuna
import pytest
import torch

import nas_sens as ns
from nas_sens.core.identity import derive_seed, make_generator
from nas_sens.recordings import MOST_NUMBERS, Recorded, recordings
from nas_sens.recordings._recording import Recording, first_seed, mean_over_seeds
from nas_sens.storage.array_attributes import from_attributes, to_attributes
from nas_sens.storage.artifacts import Artifacts
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.study.train_spec import TrainSpec
from nas_sens.training import train
from nas_sens.training.checkpoint import Checkpoint
from nas_sens.training.recordings_in_training import combined_records

FC = ns.FCSpec(depth=1, width=8, init="he_normal", dropout=0.2)
SPEC = TrainSpec(epochs=4, recordings=("points",), recording_epochs=(0, 2), recording_inputs=12)


def recorded(splits, **more) -> Recorded:
    values = {"n_inputs": 12, "loss": "cross_entropy", "generator": torch.Generator(), "y_train": splits.y_train}
    return Recorded(splits=splits, **{**values, **more})


def test_inputs_have_all_classes_and_are_the_same_for_all_trainings():
    splits = ns.load_data(ns.DataSpec(name="mnist5k", train_samples=100, val_samples=60, test_samples=50))
    noisy = (splits.y_train + 1) % 10
    first, other = (recorded(splits, y_train=noisy, n_inputs=20, generator=make_generator(str(i))) for i in range(2))
    for name in ("train", "validation", "test"):
        (x, y), (again, _) = getattr(first, name), getattr(other, name)
        assert torch.bincount(y).tolist() == [2] * 10
        assert torch.equal(x, again)
    x, y = first.train
    rows = [int((splits.x_train == one).flatten(1).all(dim=1).nonzero()[0]) for one in x]
    assert torch.equal(y, noisy[rows])
    assert torch.equal(recorded(splits, n_inputs=60).validation[0], splits.x_val)


def test_records_are_those_of_the_network_as_it_was(digits):
    outcome = train(FC, digits, SPEC, seed=1)
    assert list(outcome.records["points"]) == [0, 2, 4]
    for epoch, found in outcome.records["points"].items():
        stream = make_generator("initial weights", FC.digest, 1)
        model = FC.build(digits.input_shape, 10, generator=stream)
        if epoch:
            spec = dataclasses.replace(SPEC, epochs=epoch, recording_epochs=())
            model.load_state_dict(train(FC, digits, spec, seed=1).state)
        expected = recordings()["points"].function(model, recorded(digits))
        assert all(torch.equal(found[field], expected[field].double()) for field in expected)


@pytest.mark.parametrize("name", recordings())
def test_training_does_not_depend_on_what_is_recorded(digits, name):
    spec = TrainSpec(epochs=2, batch_size=50)
    plain = train(FC, digits, spec, seed=1)
    more = dataclasses.replace(spec, recordings=(name,), recording_epochs=(0, 1), recording_inputs=40)
    found = train(FC, digits, more, seed=1)
    assert all(torch.equal(plain.state[k], found.state[k]) for k in plain.state)
    assert plain.curve == found.curve
    assert name in found.records, found.measure_problems
    assert list(found.records[name]) == [0, 1, 2]
    for arrays in found.records[name].values():
        seed = {field: values.numpy() for field, values in arrays.items()}
        stored = recordings()[name].combine([seed, seed])
        assert tuple(stored) == recordings()[name].fields
        assert 0 < sum(np.asarray(a).size for a in stored.values()) <= recordings()[name].size(40, digits)


@pytest.mark.parametrize("name", recordings())
def test_every_record_says_where_it_is_from(name):
    recording = recordings()[name]
    assert recording.name == name == recording.function.__name__
    assert "20" in recording.source
    assert "Source: " in recording.function.__doc__


def test_a_killed_training_keeps_its_records(digits, tmp_path):
    whole = train(FC, digits, SPEC, seed=1)
    checkpoint = Checkpoint(Artifacts(tmp_path), "c.pt", seconds=0.0)
    n_epochs = 0

    def stop(curve) -> None:
        nonlocal n_epochs
        n_epochs += 1
        if n_epochs == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(FC, digits, SPEC, seed=1, checkpoint=checkpoint, on_epoch=stop)
    resumed = train(FC, digits, SPEC, seed=1, checkpoint=Checkpoint(Artifacts(tmp_path), "c.pt", seconds=0.0))
    assert list(resumed.records["points"]) == [0, 2, 4]
    for epoch, found in whole.records["points"].items():
        assert all(torch.equal(found[field], resumed.records["points"][epoch][field]) for field in found)


def test_a_record_that_cannot_be_taken_gives_a_line(digits, monkeypatch):
    def broken(model, recorded):
        raise ns.InvalidInputError("it needs something else")

    monkeypatch.setitem(recordings(), "points", dataclasses.replace(recordings()["points"], function=broken))
    outcome = train(FC, digits, SPEC, seed=1)
    assert outcome.status == "ok"
    assert outcome.records == {}
    assert outcome.measure_problems == {"points": "it needs something else"}


def test_several_trainings_are_one_record(monkeypatch):
    table = {
        name: Recording(function=len, fields=("a",), size=lambda n, splits: n, source="", combine=combine)
        for name, combine in (("mean", mean_over_seeds), ("first", first_seed))
    }
    monkeypatch.setattr("nas_sens.training.recordings_in_training.recordings", lambda: table)

    def one(**epochs):
        taken = {int(e[1:]): {"a": torch.tensor(v, dtype=torch.float64)} for e, v in epochs.items()}
        return {"mean": taken, "first": taken}

    # Epochs 0, 2 and 5 are declared; the first training ends after 3 epochs, the second after 7.
    short, long = (
        one(_0=[0.0, 1 / 3], _2=[2.0, 1.0], _3=[4.0, 1.0]),
        one(_0=[2, 2], _2=[4, 4], _5=[5, 6], _7=[7, math.nan]),
    )
    short["gone"] = {}
    found = combined_records([short, long])
    assert found == {
        "mean": {0: {"a": (1.0, 1.16667)}, 2: {"a": (3.0, 2.5)}, 5: {"a": (4.5, 3.5)}, 7: {"a": (5.5, None)}},
        "first": {0: {"a": (0.0, 0.333333)}, 2: {"a": (2.0, 1.0)}, 5: {"a": (4.0, 1.0)}, 7: {"a": (4.0, 1.0)}},
    }
    assert combined_records([{}, {}]) == {}
    assert list(combined_records([short])["mean"]) == [0, 2, 3]


def test_attributes_come_back():
    records = {"a_b": {0: {"x": ((1.0, None), (2.0, 3.0)), "y": 4.0}, 10: {"x": ()}, 9: {"x": (1.0,)}}, "c": {3: {}}}
    attributes = json.loads(json.dumps(to_attributes(records)))
    assert sorted(attributes) == ["record:a_b:0", "record:a_b:10", "record:a_b:9", "record:c:3"]
    found = from_attributes({"params": 3, "reason": "record:x", **attributes})
    assert found == records
    assert list(found["a_b"]) == [0, 9, 10]
    worst = {"p": {1: {"x": tuple(float(f"{-v:.6g}") for v in np.exp(np.linspace(-99, 99, MOST_NUMBERS)))}}}
    (text,) = [json.dumps(v) for v in to_attributes(worst).values()]
    assert len(text) < 65_535  # what MySQL's column takes


def study(**train_keys):
    space = ns.SearchSpace(name="tiny", families={"fc": {"depth": [1, 2], "width": 4, "init": "he_normal"}})
    return ns.StudySpec(
        name="tiny",
        search_space=space,
        data=ns.DataSpec(name="digits", train_samples=60),
        score=ns.ScoreSpec(n_inputs=16, seeds=2),
        search=ns.SearchSpec(n_candidates=2),
        select=ns.SelectSpec(rule="random", top_k=1, control=0),
        train=TrainSpec(epochs=2, seeds=2, **train_keys),
    )


def test_records_come_back_from_the_database_and_others_store_as_before(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    spec = study(recordings=["points"], recording_epochs=[0], recording_inputs=12)
    result = ns.search(spec, storage=url)
    (trial,) = StudyStorage(url).trained("tiny")
    assert trial == result.trials[0]
    seed = derive_seed("training", 0, 0)
    first = train(ns.load_spec(trial.architecture), ns.load_data(spec.data), spec.train, seed=seed)
    assert list(trial.records["points"]) == [0, 2]
    for epoch, arrays in first.records["points"].items():
        for field, values in arrays.items():
            np.testing.assert_allclose(trial.records["points"][epoch][field], values, rtol=1e-5)
    assert "records" not in result.frame()
    assert not [column for column in result.frame() if "record" in column]

    plain_url = f"sqlite:///{tmp_path}/b.db"
    plain = ns.search(study(), storage=plain_url).trials[0]
    assert plain.records == {}
    recorded, others = (
        {k for t in optuna.load_study(study_name="tiny", storage=u).trials for k in t.user_attrs}
        for u in (url, plain_url)
    )
    assert recorded - others == {"record:points:0", "record:points:2"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"recordings": ["point"]}, "unknown recording 'point'; did you mean 'points'?"),
        ({"recording_epochs": [1]}, "needs a list recordings for recording_epochs; given recording_epochs = (1,)"),
        ({"recordings": ["points"], "recording_epochs": [61], "epochs": 60}, "after the last of 60 epochs; given [61]"),
        ({"recordings": ["points"], "recording_epochs": list(range(21))}, "20"),
        ({"recording_inputs": 0}, "recording_inputs"),
    ],
)
def test_wrong_declarations_are_one_line(values, text):
    with pytest.raises(ns.InvalidInputError) as error:
        ns.core.declarations.validate(TrainSpec, values, source="study.toml", where="train")
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_too_large_records_and_data_that_lack_something_are_told_before_the_training(digits):
    spec = dataclasses.replace(SPEC, recording_inputs=600)
    many = dataclasses.replace(digits, x_test=digits.x_test.repeat(20, 1, 1, 1), y_test=digits.y_test.repeat(20))
    with pytest.raises(ns.InvalidInputError, match="may hold 2,000 numbers; with recording_inputs = 600 it would"):
        train(FC, many, spec, seed=1)
    data = ns.load_data(ns.DataSpec(name="diabetes", train_samples=60, standardize=True))
    with pytest.raises(ns.InvalidInputError, match=r"record 'points' in \[train\] needs classes"):
        train(FC, data, SPEC, seed=1)
