"""What every recording must do, also one that is new: the fields it declares, in bounds, and a network left alone."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nas_sens.architectures.cnn import CNNSpec
from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data
from nas_sens.recordings import MOST_NUMBERS, Recorded, check_records, recordings
from nas_sens.storage.array_attributes import from_attributes, to_attributes
from nas_sens.training.recordings_in_training import combined_records
from tests.untouched import assert_untouched, snapshot

N_INPUTS = 40
SPECS = {
    "fc": FCSpec(depth=2, width=8, batch_norm=True, dropout=0.4, init="he_normal"),
    "cnn": CNNSpec(depth=1, channels=2, kernel=5, hidden_units=4, batch_norm=True, dropout=0.4, init="he_normal"),
}


@pytest.fixture(scope="module")
def diabetes():
    return load_data(DataSpec(name="diabetes", standardize=True, train_samples=60))


@pytest.fixture(params=recordings().values(), ids=lambda recording: recording.name)
def recording(request):
    return request.param


@pytest.fixture
def model(digits):
    return build("fc", digits)


def build(name, splits, seed=1):
    return SPECS[name].build(splits.input_shape, splits.n_outputs, generator=torch.Generator().manual_seed(seed))


def record(recording, model, splits, *, seed=0, n_inputs=N_INPUTS):
    loss = "cross_entropy" if splits.task == "classification" else "mse"
    generator = torch.Generator().manual_seed(seed)
    recorded = Recorded(splits=splits, y_train=splits.y_train, n_inputs=n_inputs, loss=loss, generator=generator)
    return recording.function(model, recorded)


def in_double(found):
    return {field: values.detach().double() for field, values in found.items()}


def equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[k].nan_to_num(7.5), other[k].nan_to_num(7.5)) for k in one
    )


def test_the_description(recording):
    assert recordings()[recording.name] is recording
    assert recording.source
    assert recording.fields
    assert len(set(recording.fields)) == len(recording.fields)
    for field in recording.fields:
        assert f"``{field.partition('_')[0]}" in (recording.function.__doc__ or ""), (
            f"say in the docstring what {field} is"
        )


@pytest.mark.usefixtures("same_global_rng")
def test_a_record_is_repeated_and_nothing_is_left_behind(recording, model, digits):
    parameters = list(model.parameters())
    parameters[0].grad = torch.ones_like(parameters[0])
    list(model.modules())[2].eval()  # modes that are not all the same
    before, fingerprint = snapshot(model), digits.fingerprint
    first = record(recording, model, digits, seed=1)
    assert_untouched(model, before)
    assert replace(digits).fingerprint == fingerprint, "the data were altered"
    assert all(not values.requires_grad for values in first.values())
    assert equal(record(recording, model.eval(), digits, seed=1), first), "it depends on the mode, or on chance"
    parameters[0].data.neg_()
    assert not equal(record(recording, model, digits, seed=1), first), "it does not depend on the weights"


def test_what_is_stored_are_the_declared_fields_within_the_declared_size(recording, digits):
    check_records([recording.name], digits, n_inputs=N_INPUTS)
    assert_stored(recording, digits, SPECS)


def assert_stored(recording, splits, names):
    found = [in_double(record(recording, build(n, splits, s), splits, seed=s)) for s, n in enumerate(names)]
    for trainings in (found[:1], found):
        combined = recording.combine([{k: v.numpy() for k, v in one.items()} for one in trainings])
        assert tuple(combined) == recording.fields
        n = sum(np.asarray(values).size for values in combined.values())
        assert 0 < n <= recording.size(N_INPUTS, splits) <= MOST_NUMBERS
        stored = combined_records([{recording.name: {3: one}} for one in trainings])
        assert from_attributes(json.loads(json.dumps(to_attributes(stored)))) == stored
        assert tuple(stored[recording.name][3]) == recording.fields


def test_of_a_regression_it_is_taken_or_refused(recording, diabetes):
    if lacks := recording.requirement(diabetes):
        with pytest.raises(InvalidInputError, match=lacks):
            check_records([recording.name], diabetes, n_inputs=N_INPUTS)
    else:
        check_records([recording.name], diabetes, n_inputs=N_INPUTS)
        assert_stored(recording, diabetes, ["fc", "fc"])


@pytest.mark.parametrize("n_inputs", [1, 5, 10_000])
def test_few_and_many_inputs(recording, model, digits, n_inputs):
    """More than there are give what there is; fewer than are needed are refused in one line."""
    before = snapshot(model)
    try:
        found = record(recording, model, digits, n_inputs=n_inputs)
    except InvalidInputError as error:
        found, text = None, str(error)
    assert_untouched(model, before)
    if found is None:
        assert text
        assert "\n" not in text
        assert n_inputs < 10
        return
    one = {k: v.numpy() for k, v in in_double(found).items()}
    n = sum(np.asarray(values).size for values in recording.combine([one, one]).values())
    assert n <= recording.size(n_inputs, digits)


class Failing(nn.Module):
    def forward(self, x):
        raise RuntimeError("a layer that fails")


@pytest.mark.usefixtures("same_global_rng")
def test_a_network_that_fails_is_left_as_it_was(recording, model, digits):
    failing = nn.Sequential(model, Failing())
    before = snapshot(failing)
    with pytest.raises(RuntimeError, match="a layer that fails"):
        record(recording, failing, digits)
    assert_untouched(failing, before)
