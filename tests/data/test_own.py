"""Data of the user's own function: tensors, arrays and torch data sets, and one line for whatever is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import nas_sens as ns

X = torch.rand(40, 3, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(40) % 4


def all_parts():
    return ns.Data(train=(X[:20], Y[:20]), val=(X[20:30], Y[20:30]), test=(X[30:], Y[30:]), n_outputs=4)


def only_training():
    return ns.Data(train=(X.numpy(), Y.numpy()), class_names=("a", "b", "c", "d"))


def torch_data_sets():
    train, val, test = (TensorDataset(X[rows], Y[rows]) for rows in (slice(20), slice(20, 30), slice(30, 40)))
    return ns.Data(train=train, val=val, test=test)


def quantities():
    return ns.Data(train=(X, X.sum((1, 2))))


constant = all_parts()


@pytest.mark.parametrize("name", ["all_parts", "torch_data_sets", "constant"])
def test_parts_are_taken_as_they_are(name):
    s = ns.load_data(ns.DataSpec(name=f"{__name__}:{name}"))
    assert (s.task, s.n_outputs, s.input_shape) == ("classification", 4, (3, 8))
    for part, rows in (("train", slice(0, 20)), ("val", slice(20, 30)), ("test", slice(30, 40))):
        assert torch.equal(getattr(s, f"x_{part}"), X[rows])
        assert torch.equal(getattr(s, f"y_{part}"), Y[rows])


def test_what_is_missing_is_held_out():
    s = ns.load_data(ns.DataSpec(name=f"{__name__}:only_training"))
    assert [len(v) for v in (s.y_train, s.y_val, s.y_test)] == [25, 7, 8]
    assert s.class_names == ("a", "b", "c", "d")
    seen = torch.cat([s.x_train, s.x_val, s.x_test]).flatten(1)
    assert torch.equal(seen[seen[:, 0].argsort()], X.flatten(1)[X.flatten(1)[:, 0].argsort()])


def test_numbers_are_predicted():
    s = ns.load_data(ns.DataSpec(name=f"{__name__}:quantities"))
    assert (s.task, s.n_outputs, s.y_train.shape[1]) == ("regression", 1, 1)
    torch.testing.assert_close(s.y_val[:, 0], s.x_val.sum((1, 2)))


def fails():
    raise FileNotFoundError("no such file: /data/a.h5")


def gives_a_list():
    return [X, Y]


def too_few_labels():
    return ns.Data(train=(X, Y[:3]))


def label_beyond():
    return ns.Data(train=(X, Y), n_outputs=3)


def other_shape():
    return ns.Data(train=(X, Y), val=(X[:, :2], Y))


def not_finite():
    return ns.Data(train=(X * torch.inf, Y))


def words():
    return ns.Data(train=(X, np.array(["a"] * 40)))


def no_pair():
    return ns.Data(train=X)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fails", "fails: FileNotFoundError: no such file: /data/a.h5"),
        ("gives_a_list", r"must return ns.Data\(.*it returned list"),
        ("too_few_labels", r"train must have inputs \(n, …\) and n labels"),
        ("label_beyond", "labels must be from 0 to 2; given 3"),
        ("other_shape", r"train and val must have one shape; given \(3, 8\) and \(2, 8\)"),
        ("not_finite", "finite inputs"),
        ("words", "must hold numbers"),
        ("no_pair", "train must be a pair of inputs and labels, or a torch data set; given Tensor"),
        ("X", "must be a function that returns ns.Data; it is Tensor"),
        ("missing", "has no 'missing', but .*all_parts"),
    ],
)
def test_what_is_wrong_is_one_line(name, message):
    with pytest.raises(ns.InvalidInputError, match=message) as caught:
        ns.load_data(ns.DataSpec(name=f"{__name__}:{name}"))
    assert f"{__name__}:{name}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_options_of_files_are_refused():
    with pytest.raises(ns.InvalidInputError, match="take no layout; remove it"):
        ns.load_data(ns.DataSpec(name=f"{__name__}:all_parts", layout="ncl"))
    with pytest.raises(ns.InvalidInputError, match="are for classification; given task = 'regression'"):
        ns.load_data(ns.DataSpec(name=f"{__name__}:all_parts", task="regression"))


def test_a_module_beside_the_study_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_data_beside.py").write_text(
        "import torch, nas_sens as ns\n"
        "def data():\n    return ns.Data(train=(torch.rand(40, 5), torch.arange(40) % 2))\n"
    )
    (tmp_path / "s.toml").write_text('name = "s"\nsearch_space = "fc"\n[data]\nname = "my_data_beside:data"\n')
    study = ns.load_study(tmp_path / "s.toml")
    assert ns.load_data(study.data).input_shape == (5,)
    assert sys.modules["my_data_beside"].__file__ == str(tmp_path / "my_data_beside.py")
