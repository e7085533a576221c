"""Canonical JSON, digests and seeds are the same in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from nas_sens.architectures.fc import FCSpec
from nas_sens.core.identity import canonical_json, derive_seed, digest, make_generator
from nas_sens.study.search_space import load_space

# The identity of stored trials: if this line has to change, old databases do not know their candidates any more.
PINNED_DIGEST = "44136fa355b3678a"  # of {}, first half of SHA-256 in hexadecimal


def test_canonical_json_has_sorted_keys_and_no_spaces():
    assert (
        canonical_json({"b": [1, 2.5, None], "a": {"d": True, "c": "ü"}}) == '{"a":{"c":"ü","d":true},"b":[1,2.5,null]}'
    )


def test_order_of_keys_does_not_matter_but_values_do():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len({digest(v) for v in ({"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"b": 1}, [1])}) == 6


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_numbers_without_json_are_refused(bad):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(bad)


def test_pinned_digest():
    assert digest({}) == PINNED_DIGEST


def test_seeds_depend_on_every_part_and_fit_generators():
    keys = [("a",), ("b",), ("a", 0), ("a", 1), ("a", "0"), (0, "a"), ("a0",), ("a", 0, 0)]
    seeds = [derive_seed(*k) for k in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= s < 2**63 for s in seeds)
    a, b, c = (torch.rand(5, generator=make_generator(*k)) for k in (("a", 0), ("a", 0), ("a", 1)))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_making_a_generator_leaves_the_global_state_alone(same_global_rng):
    make_generator("a", 0)


def test_another_process_with_another_hash_seed_agrees():
    code = (
        "import json; from nas_sens.architectures.fc import FCSpec; from nas_sens.core.identity import *; "
        "from nas_sens.study.search_space import load_space; space = load_space('fc_vs_cnn'); "
        "print(json.dumps([FCSpec(depth=2, width=64).digest, derive_seed('x', 1), space.digest, "
        "[space.sample(seed=s).digest for s in range(3)], digest({k: 1 for k in {'a', 'b', 'c'}})]))"
    )
    space = load_space("fc_vs_cnn")
    samples = [space.sample(seed=s).digest for s in range(3)]
    expected = [
        FCSpec(depth=2, width=64).digest,
        derive_seed("x", 1),
        space.digest,
        samples,
        digest({"a": 1, "b": 1, "c": 1}),
    ]
    mine = os.environ.get("PYTHONHASHSEED", "random")
    other = "12345" if mine != "12345" else "54321"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == expected
