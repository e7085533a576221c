"""CSV tables: what the target means, how text becomes numbers, and one line for everything that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data

PARTS = ("train", "val", "test")


def table(tmp_path, text, **options):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return load_data(DataSpec(name=f"csv:{path}", **{"target": "y", **options}))


def rows(n, *, y, **columns):
    """Return CSV text; ``y`` and the columns are functions of the row's number."""
    columns = {"a": lambda i: i, **columns, "y": y}
    lines = [",".join(columns), *(",".join(str(f(i)) for f in columns.values()) for i in range(n))]
    return "\n".join(lines) + "\n"


def by_first_feature(s):
    """Return all rows in the order of their first feature, their number: inputs, targets."""
    x, y = (torch.cat([getattr(s, f"{k}_{p}") for p in PARTS]) for k in "xy")
    order = x[:, 0].argsort()
    return x[order], y[order]


def test_text_classes_are_numbered_by_name(tmp_path):
    s = table(tmp_path, rows(30, y=lambda i: ["dog", "cat", "ant"][i % 3]))
    assert (s.task, s.n_outputs, s.class_names, s.feature_names) == (
        "classification",
        3,
        ("ant", "cat", "dog"),
        ("a",),
    )
    x, y = by_first_feature(s)
    assert x[:, 0].tolist() == list(range(30))
    assert y.tolist() == [2, 1, 0] * 10


def test_few_whole_numbers_are_classes_wherever_they_start(tmp_path):
    s = table(tmp_path, rows(40, y=lambda i: [7, -3][i % 2]))
    assert (s.n_outputs, s.class_names) == (2, ("-3", "7"))
    assert by_first_feature(s)[1].tolist() == [1, 0] * 20


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (lambda i: i % 20, "classification"),
        (lambda i: i % 21, "regression"),
        (lambda i: i % 3 + 0.5, "regression"),
        (lambda i: i % 2 == 0, "classification"),
    ],
)
def test_auto_tells_classes_from_quantities(tmp_path, y, task):
    assert table(tmp_path, rows(210, y=y)).task == task


def test_the_task_can_be_said(tmp_path):
    s = table(tmp_path, rows(30, y=lambda i: i % 3), task="regression")
    assert (s.task, s.n_outputs, s.class_names, s.y_train.dtype) == ("regression", 1, (), torch.float32)
    assert by_first_feature(s)[1].tolist() == [[i % 3] for i in range(30)]
    assert table(tmp_path, rows(210, y=lambda i: i % 21), task="classification").n_outputs == 21


def test_text_features_become_zeros_and_ones_in_the_order_of_the_columns(tmp_path):
    text = rows(20, b=lambda i: ["red", "blue"][i % 2], c=lambda i: i / 4, d=lambda i: i < 5, y=lambda i: i % 2)
    s = table(tmp_path, text)
    assert s.feature_names == ("a", "b=blue", "b=red", "c", "d")
    expected = [[i, i % 2, 1 - i % 2, i / 4, i < 5] for i in range(20)]
    assert by_first_feature(s)[0].tolist() == expected


def test_the_target_may_stand_anywhere(tmp_path):
    s = table(tmp_path, rows(24, y=lambda i: i % 2), target="a")
    assert (s.task, s.feature_names) == ("regression", ("y",))


def test_regression_on_a_table_is_that_of_scikit_learns_data(tmp_path):
    bunch = load_diabetes(scaled=False, as_frame=True)
    bunch.frame.rename(columns={"target": "y"}).to_csv(tmp_path / "d.csv", index=False)
    mine = load_data(DataSpec(name=f"csv:{tmp_path}/d.csv", target="y"))
    theirs = load_data(DataSpec(name="diabetes"))
    assert mine.fingerprint == theirs.fingerprint
    assert mine.feature_names == theirs.feature_names
    assert sorted(by_first_feature(mine)[1].flatten().tolist()) == sorted(bunch.target)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,y\n1,2\n", {"target": None}, "column to predict is required, set target in .*columns: a, y"),
        ("a,y\n1,2\n", {"target": "z"}, "has no column 'z' to predict; columns: a, y"),
        ("a,y\n", {}, "at least one row"),
        ("", {}, "at least one row are required; it is empty"),
        ("a,y\n1,2\n1,2,3\n", {}, "cannot be read as a table: .* row 2 has 3"),
        ("y\n1\n2\n", {}, "at least one column beside the target 'y'"),
        ("a,y\n1,2\n,3\n", {}, "column 'a' must have a value in every row, but 1 are empty or NaN"),
        ("a,y\n1,2\nnan,3\n", {}, "column 'a' must hold a number in every row, but 1 is 'nan'"),
        ("a,y\n1,2\n1,\n", {}, "column 'y' must have a value"),
        ("a,y\n1,2\ninf,3\n", {}, "column 'a' must hold finite numbers, but 1 are not; clean .* drop = "),
        (",a,y\n0,1,2\n5,1,3\n", {}, "column 1 has no name"),
        (rows(60, b=lambda i: f"id{i}", y=lambda i: i % 2), {}, "column 'b' must hold numbers, or text .*given 60"),
        (rows(20, y=lambda i: "x"), {}, "at least 2 classes are required, given 1"),
        (rows(20, y=lambda i: 0.5), {}, "at least 2 different targets are required, given 1"),
        (rows(20, y=lambda i: f"n{i}"), {}, "'y' has 20 different values in 20 rows, too many for classes"),
        (rows(20, y=lambda i: "ab"[i % 2]), {"task": "regression"}, "'y' must be a column of numbers for regression"),
        (rows(4, y=lambda i: i % 2), {}, "cannot be split by .*give more data"),
        (rows(3, y=lambda i: i + 0.5), {}, "at least 2 different targets in every part"),
        (rows(30, y=lambda i: i + 0.5), {"train_samples": 25}, "train_samples = 25, but the split leaves 19 training"),
        (rows(20, y=lambda i: i % 2), {"image_size": 8}, "'csv' takes no image_size; given image_size = 8"),
    ],
)
def test_unusable_tables_are_refused_in_one_line(tmp_path, text, options, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        table(tmp_path, text, **options)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match=r"csv:.*cannot be read .*No such file"):
        load_data(DataSpec(name=f"csv:{tmp_path}/none.csv", target="y"))


@pytest.mark.parametrize(("name", "shape", "total"), [("boston_housing", 13, 11401.6), ("diabetes", 10, 67243.0)])
def test_the_shipped_tables(name, shape, total):
    s = load_data(DataSpec(name=name, test_fraction=0.3, standardize=True))
    assert (s.task, s.n_outputs, s.input_shape, len(s.feature_names)) == ("regression", 1, (shape,), shape)
    y = torch.cat([s.y_train, s.y_val, s.y_test]).double()
    assert float(y.sum()) == pytest.approx(total, rel=1e-6)  # targets stay in their units
    np.testing.assert_allclose(s.x_train.double().mean(0), np.zeros(shape), atol=1e-5)


def test_tasks_and_targets_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInputError, match=r"'digits' is for classification; given task = 'regression'"):
        load_data(DataSpec(name="digits", task="regression"))
    with pytest.raises(InvalidInputError, match=r"'diabetes' takes no target; given target = 'age'"):
        load_data(DataSpec(name="diabetes", target="age"))


def test_regression_from_arrays(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    np.savez(tmp_path / "a.npz", x=x, y=x[:, :1] / 3)
    s = load_data(DataSpec(name=f"npz:{tmp_path}/a.npz", task="regression", val_samples=2, test_samples=3))
    assert (s.y_val.shape, s.y_test.shape) == ((2, 1), (3, 1))
    for p in PARTS:
        torch.testing.assert_close(getattr(s, f"y_{p}"), getattr(s, f"x_{p}")[:, :1] / 3)
    with pytest.raises(InvalidInputError, match=r'integer class labels; given 0.6.*set task = "regression"'):
        load_data(DataSpec(name=f"npz:{tmp_path}/a.npz"))
