"""Canonical JSON and digests of whatever values: one text for equal values, another for any other."""

from __future__ import annotations

import json
import math
import random

from hypothesis import example, given
from hypothesis import strategies as st

from nas_sens.core.identity import canonical_json, derive_seed, digest

TEXT = st.text("ab_ 0'\"\n\\ü€𝄞\x00", max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


def shuffled(value, rng):
    """Return a value that is equal, its keys in another order at every level."""
    if isinstance(value, dict):
        keys = rng.sample(list(value), len(value))
        return {k: shuffled(value[k], rng) for k in keys}
    return [shuffled(v, rng) for v in value] if isinstance(value, list) else value


def as_key(value):
    """Return what two values have in common if and only if they are the same, types included (1, 1.0 and True not)."""
    if isinstance(value, dict):
        return "dict", frozenset((k, as_key(v)) for k, v in value.items())
    if isinstance(value, list):
        return "list", tuple(as_key(v) for v in value)
    return type(value).__name__, value, math.copysign(1.0, value) if isinstance(value, float) else None


@given(VALUES, st.integers(0, 99))
def test_the_order_of_keys_does_not_show(value, seed):
    other = shuffled(value, random.Random(seed))
    assert canonical_json(other) == canonical_json(value)
    assert digest(other) == digest(value)


@given(VALUES)
def test_a_value_comes_back_from_its_text(value):
    text = canonical_json(value)
    assert as_key(json.loads(text)) == as_key(value)
    assert canonical_json(json.loads(text)) == text
    assert "\n" not in text
    assert len(digest(value)) == 16
    assert set(digest(value)) <= set("0123456789abcdef")


@given(VALUES, VALUES)
@example(1, 1.0)
@example(1, True)
@example([["a"], "b"], [["a", "b"]])
@example({"a": {"b": 1}}, {"b": {"a": 1}})
@example(0.1, 0.1 + 2**-56)
def test_values_have_the_same_digest_if_and_only_if_they_are_the_same(one, other):
    is_same = as_key(one) == as_key(other)
    assert (canonical_json(one) == canonical_json(other)) is is_same
    assert (digest(one) == digest(other)) is is_same


KEYS = st.lists(TEXT | st.integers(-99, 99), max_size=4)


@given(KEYS, KEYS)
@example(["a", 1], ["a", "1"])
@example(["ab"], ["a", "b"])
def test_seeds_differ_wherever_keys_do(one, other):
    assert (derive_seed(*one) == derive_seed(*other)) is (one == other)
    assert 0 <= derive_seed(*one) < 2**63
