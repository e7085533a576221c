"""Data of a user's function of every kind: tokens, several tensors, several targets, masks, inputs to score with."""

from __future__ import annotations

import pytest
import torch

import nas_sens as ns
from nas_sens.core.inputs import shape_from_json, shape_to_json
from nas_sens.data.account import account_of
from nas_sens.data.own import samples_of
from nas_sens.data.shared import open_shared, share
from nas_sens.data.splits import DataSpec, split

N = 40
X = torch.rand(N, 3, 8, generator=torch.Generator().manual_seed(0))
WORDS = torch.arange(N * 5).reshape(N, 5) % 7
Y = torch.arange(N) % 2
MASKS = (X > 0.5).long()
SEVERAL = torch.stack([Y, 1 - Y, torch.arange(N) // 2 % 2], 1)


def splits(**keywords):
    return split(samples_of(ns.Data(**keywords), source="mine"), DataSpec(name="mine"))


KINDS = {
    "tokens": ({"train": (WORDS, Y)}, "classification", 2, [{"dtype": "int64", "shape": [5]}]),
    "int32 tokens": ({"train": (WORDS.int(), Y)}, "classification", 2, [{"dtype": "int64", "shape": [5]}]),
    "pictures of bytes": ({"train": ((X * 255).byte(), Y)}, "classification", 2, [[3, 8]]),
    "truth values": ({"train": (X > 0.5, Y)}, "classification", 2, [[3, 8]]),
    "dict": (
        {"train": ({"image": X, "ids": WORDS}, Y)}, "classification", 2,
        [{"keywords": {"image": [3, 8], "ids": {"dtype": "int64", "shape": [5]}}}],
    ),
    "tuple": ({"train": ((X, X[:, 0]), Y)}, "classification", 2, [{"positions": [[3, 8], [8]]}]),
    "several labels": ({"train": (X, SEVERAL)}, "multilabel", 3, [[3, 8]]),
    "several labels, floats": ({"train": (X, SEVERAL.float())}, "multilabel", 3, [[3, 8]]),
    "several numbers": ({"train": (X, X[:, :2, 0])}, "regression", 2, [[3, 8]]),
    "masks": ({"train": (X, MASKS), "task": "other", "n_outputs": 2}, "other", 2, [[3, 8]]),
    "probe": ({"probe": WORDS, "n_outputs": 4}, "other", 4, [{"dtype": "int64", "shape": [5]}]),
    "probe of two": (
        {"probe": (X, WORDS), "n_outputs": 4}, "other", 4, [{"positions": [[3, 8], {"dtype": "int64", "shape": [5]}]}],
    ),
    "probe beside data": ({"train": (X, Y), "probe": X[:6]}, "classification", 2, [[3, 8]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_splits_of_every_kind(kind, tmp_path):
    keywords, task, n_outputs, (shape,) = KINDS[kind]
    s = splits(**keywords)
    assert (s.task, s.n_outputs) == (task, n_outputs)
    assert shape_to_json(s.input_shape) == shape
    assert shape_to_json(shape_from_json(shape)) == shape
    assert s.has_only_probe == ("train" not in keywords)
    if not s.has_only_probe:
        assert [len(y) for y in (s.y_train, s.y_val, s.y_test)] == [25, 7, 8]
    assert s.to("cpu").fingerprint == s.fingerprint == splits(**keywords).fingerprint
    back = open_shared(share(s, tmp_path))
    assert back.fingerprint == s.fingerprint
    assert shape_to_json(back.input_shape) == shape
    line = account_of(s)[0]
    assert ("nothing to train on" in line) == s.has_only_probe
    assert ("to score with" in line) == ("probe" in keywords)


def test_the_fingerprint_knows_every_tensor():
    prints = {kind: splits(**keywords).fingerprint for kind, (keywords, *_) in KINDS.items()}
    same = {prints["tokens"], prints["int32 tokens"]}
    assert len(same) == 1
    two = prints["several labels"], prints["several labels, floats"]
    assert two[0] == two[1]
    assert len(set(prints.values())) == len(prints) - 2
    other = WORDS.clone()
    other[3, 1] += 1
    assert splits(probe=(X, other), n_outputs=4).fingerprint != prints["probe of two"]


def test_rows_of_all_tensors_go_together():
    s = splits(train=({"a": torch.arange(N).float(), "b": torch.arange(N)}, torch.arange(N) % 2))
    for part in ("train", "val", "test"):
        x, y = getattr(s, f"x_{part}"), getattr(s, f"y_{part}")
        assert torch.equal(x["a"].long(), x["b"])
        assert torch.equal(x["b"] % 2, y)


REFUSED = {
    "nothing": ({"n_outputs": 2}, "must have train="),
    "probe without outputs": ({"probe": X}, "n_outputs must be given"),
    "masks without a word": ({"train": (X, MASKS)}, 'task = "other"'),
    "masks without outputs": ({"train": (X, MASKS), "task": "other"}, "n_outputs must be given"),
    "other rows": ({"train": ((X, WORDS[:5]), Y)}, "same number of rows"),
    "other types": ({"train": (WORDS, Y), "val": (WORDS.float(), Y)}, "of int64 and (5,)"),
    "wrong number": ({"train": (X, SEVERAL), "n_outputs": 5}, "must be the 3 targets"),
    "not 0 and 1": ({"train": (X, SEVERAL * 2), "task": "multilabel"}, "0 or 1"),
    "text": ({"train": (["a", "b"], Y)}, "must hold numbers"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_one_line_for_what_cannot_be_used(kind):
    keywords, text = REFUSED[kind]
    with pytest.raises(ns.InvalidInputError) as refusal:
        splits(**keywords)
    assert text in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_of_one_float_tensor_is_refused_for_others():
    samples = samples_of(ns.Data(train=(WORDS, Y)), source="mine")
    with pytest.raises(ns.InvalidInputError, match=r"standardize in .data. needs inputs of one floating-point tensor"):
        split(samples, DataSpec(name="mine", standardize=True))
    with pytest.raises(ns.InfeasibleArchitectureError, match="fc needs one tensor of floating-point numbers"):
        ns.FCSpec(depth=1, width=3).build(splits(train=(WORDS, Y)).input_shape, 2)
