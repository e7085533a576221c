"""Short names: different architectures that are shown together never share one."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sens.core.errors import StorageError
from nas_sens.core.short_names import LONGEST, short_names

KEYS = ("depth", "width", "channels", "kernel", "max_pool", "init", "dropout", "widths", "learning_rate", "x", "x y")
VALUES = st.one_of(
    st.integers(-3, 300), st.floats(-1, 1, width=32), st.booleans(), st.none(), st.sampled_from(["a", "1", "-", "a-b"]),
    st.lists(st.integers(1, 12), max_size=3),
)  # fmt: skip
ITEMS = st.builds(
    lambda family, values, training: SimpleNamespace(
        architecture=json.dumps({"family": family, **values}), training=training
    ),
    st.sampled_from(["fc", "cnn", "a-1"]),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5),
    st.dictionaries(st.sampled_from(("learning_rate", "width")), st.floats(1e-6, 1.0), max_size=2),
)


def identity(item):
    return json.dumps([json.loads(item.architecture), item.training], sort_keys=True)


@given(items=st.lists(ITEMS, max_size=12))
@settings(max_examples=200, deadline=None)
def test_different_architectures_have_different_names_and_equal_ones_the_same(items):
    names = short_names(items)
    assert len(names) == len(items)
    of_identity: dict[str, str] = {}
    for item, name in zip(items, names, strict=True):
        assert of_identity.setdefault(identity(item), name) == name
        assert 0 < len(name) <= LONGEST
    assert len(set(names)) == len(of_identity)


def named(*values, **training):
    return short_names([SimpleNamespace(architecture=json.dumps(v), training=training) for v in values])


CNN = {"family": "cnn", "depth": 3, "channels": 29, "kernel": 3, "max_pool": True, "init": "he_normal", "padding": 1}


def test_what_matters_and_what_varies_is_said():
    assert named(CNN) == ["cnn-3x29-k3-pool"]
    assert named(CNN, {**CNN, "padding": 2}) == ["cnn-3x29-k3-pool-p1", "cnn-3x29-k3-pool-p2"]
    assert named(CNN, {**CNN, "max_pool": False}) == ["cnn-3x29-k3-pool", "cnn-3x29-k3-nopool"]
    assert named(CNN, {**CNN, "init": "xavier"})[1] == "cnn-3x29-k3-pool-xavier"
    assert named(CNN, {"family": "fc", "depth": 2, "width": 100, "init": "x"}) == ["cnn-3x29-k3-pool", "fc-2x100"]


def test_numbers_have_as_many_digits_as_tell_them_apart():
    a, b = ({"family": "f", "rate": rate} for rate in (0.12345, 0.12346))
    assert named(a, b) == ["f-rate0.12345", "f-rate0.12346"]


def test_long_names_are_cut_and_stay_apart():
    items = [{"family": "f", "text": "t" * 60 + str(i)} for i in range(50)]
    names = named(*items)
    assert len(set(names)) == 50
    assert all(name.startswith("f-textttt") and "~" in name for name in names)


def test_what_is_no_json_is_the_storages_error():
    with pytest.raises(StorageError, match="cannot be read"):
        short_names([SimpleNamespace(architecture="{", training={})])
