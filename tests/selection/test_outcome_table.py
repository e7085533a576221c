"""Tables of outcomes: what is read, and what is refused with the place of the fault."""

from __future__ import annotations

import gzip
import json
import math

import pytest

from nas_sens.architectures.fc import FCSpec
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.identity import digest
from nas_sens.selection.outcome_table import read_outcome_table

PLAIN = "arch,accuracy,val_error,log10_sensitivity,log10_params,note\na|b,93.5,0.065,1.5,4,good\nc,10,inf,,-inf,dead\n"


def written(folder, text, name="table.csv"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_a_table_with_names_of_its_own(tmp_path, name):
    table = read_outcome_table(written(tmp_path, PLAIN, name))
    first, second = table.candidates
    assert (table.key, table.outcome) == ("arch", "val_error")
    assert (first.digest, second.digest) == (digest("a|b"), digest("c"))
    assert table.outcomes == {digest("a|b"): 0.065, digest("c"): math.inf}
    assert table.names == {digest("a|b"): "a|b", digest("c"): "c"}
    assert first.features == {"accuracy": 93.5, "log10_sensitivity": 1.5, "log10_params": 4.0}
    assert math.isnan(second.features["log10_sensitivity"])
    assert second.features["log10_params"] == -math.inf
    assert first.family == ""


def test_columns_can_be_chosen(tmp_path):
    text = "name,family,loss,x,y\none,fc,0.5,1,2\ntwo,cnn,0.25,3,text\n"
    table = read_outcome_table(written(tmp_path, text), outcome="loss", key="name", features=["x"])
    assert [c.features for c in table.candidates] == [{"x": 1.0}, {"x": 3.0}]
    assert [c.family for c in table.candidates] == ["fc", "cnn"]
    assert table.outcomes[digest("two")] == 0.25


def test_architectures_have_the_digests_that_studies_know(tmp_path):
    spec = FCSpec(depth=2, width=10)
    loose = json.dumps({"width": 10, "family": "fc", "depth": 2})  # not canonical, and without the defaults
    text = 'architecture,arch,val_error\n"' + loose.replace('"', '""') + '",other,0.5\n'
    table = read_outcome_table(written(tmp_path, text))
    assert table.key == "architecture"
    assert table.outcomes == {spec.digest: 0.5}
    assert table.candidates[0].family == "fc"
    assert table.candidates[0].choices.items() >= {"fc.depth": 2, "fc.width": 10, "fc.batch_norm": False}.items()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["0120", "0210", "1020", "1100", "2021", "2101"],
            {"arch.0": "2", "arch.1": "1", "arch.2": "0", "arch.3": "1"},
        ),
        (
            ["|a~0|+|b~0|", "|b~0|+|b~0|", "|a~0|+|c~0|", "|b~0|+|c~0|"],
            {"arch.0": "b", "arch.1": "0", "arch.2": "c", "arch.3": "0"},
        ),
        (["one", "two", "three", "four"], {}),
        ([f"{i:04x}" for i in range(256, 4096, 7)], {}),  # digests, and numbers that count, are no codes
        (["net-1", "net-2", "net-3", "net-4"], {}),  # a number that counts is no choice
    ],
)
def test_names_that_are_codes_say_what_was_chosen(tmp_path, names, expected):
    text = "arch,val_error\n" + "".join(f"{name},0.{i}\n" for i, name in enumerate(names, 1))
    assert read_outcome_table(written(tmp_path, text)).candidates[-1].choices == expected


def test_a_column_of_a_few_words_is_a_choice(tmp_path):
    rows = "".join(f"n{i},{['max', 'mean'][i % 2]},text {i},0.{i}\n" for i in range(1, 7))
    table = read_outcome_table(written(tmp_path, "arch,pool,remark,val_error\n" + rows))
    assert [c.choices for c in table.candidates] == [{"pool": "mean"}, {"pool": "max"}] * 3
    chosen = read_outcome_table(
        written(tmp_path, "arch,pool,x,val_error\n" + rows.replace("text ", "")), features=["x"]
    )
    assert all(not c.choices for c in chosen.candidates)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("arch,val_error\n", {}, "at least one row; given 0 rows"),
        ("", {}, "at least one row are required; it is empty"),
        ("arch,val_erorr\na,1\n", {}, "a column 'val_error' is required; did you mean 'val_erorr'"),
        ("name,val_error\na,1\n", {}, "a column 'architecture' is required; valid: name, val_error"),
        ("arch,val_error\na,1\n", {"features": ["flops"]}, "a column 'flops' is required"),
        ("arch,val_error\na,1\nb,2\na,3\n", {}, "line 4: 'a' is there already"),
        ("arch,val_error\na,1\nb,\n", {}, "line 3: val_error must be a number, or inf if it failed; given ''"),
        ("arch,val_error\na,nan\n", {}, "line 2: val_error must be a number"),
        ("arch,val_error\na,-inf\n", {}, "line 2: val_error must be a number"),
        ("arch,val_error\na,good\n", {}, "line 2: val_error must be a number; given 'good'"),
        ("arch,val_error,x\na,1,2\nb,1,high\n", {"features": ["x"]}, "line 3: x must be a number; given 'high'"),
        ("arch,val_error\na,1,2\n", {}, "Expected 2 fields in line 2, saw 3"),
        ("arch,val_error,x\na,1\n", {}, "line 2: 3 cells are required"),
        ("arch,val_error,val_error\na,1,2\n", {}, "columns must differ in their names"),
        ("architecture,val_error\nresnet,1\n", {}, "line 2: "),
        ('architecture,val_error\n"{""family"":""fd""}",1\n', {}, "line 2: unknown architecture family 'fd'"),
        ('arch,val_error\n"a,1\n', {}, "cannot be read as a table"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path, text, options, message):
    path = written(tmp_path, text)
    with pytest.raises(InvalidInputError) as caught:
        read_outcome_table(path, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        read_outcome_table(tmp_path / "missing.csv")
    (tmp_path / "plain.csv.gz").write_text("arch,val_error\na,1\n")
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        read_outcome_table(tmp_path / "plain.csv.gz")
    (tmp_path / "bytes.csv").write_bytes(b"arch,val_error\n\xff\xfe,1\n")
    with pytest.raises(InvalidInputError, match="cannot be read as a table"):
        read_outcome_table(tmp_path / "bytes.csv")
