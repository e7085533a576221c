"""Declared files: what is found, what is refused, and that the message names file, key and nearest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from nas_sens.core.declarations import bundled, find, locate, nearest, validate
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.toml_reader import read_toml
from nas_sens.data import DataSpec
from nas_sens.study.score_spec import ScoreSpec
from nas_sens.study.search_space import load_space
from nas_sens.study.select_spec import SelectSpec
from nas_sens.study.train_spec import TrainSpec


def test_nearest_names_the_nearest_or_all():
    assert nearest("widht", ["depth", "width"]) == "did you mean 'width'?"
    assert nearest("qqq", ["depth", "width"]) == "valid: depth, width"
    assert nearest(None, iter(["depth"])) == "valid: depth"


@pytest.mark.parametrize("name", ["b", None, 3, ["a"]])
def test_find(name):
    assert find({"a": 1}, "a", "letter") == 1
    with pytest.raises(InvalidInputError, match="unknown letter"):
        find({"a": 1}, name, "letter")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (TrainSpec, {"learning_rte": 1.0}, "unknown key 'part.learning_rte'; did you mean 'learning_rate'?"),
        # The unknown key is told even if other values are wrong: it is often their cause.
        (TrainSpec, {"epochs": 0, "epoch": 3}, "unknown key 'part.epoch'; did you mean 'epochs'?"),
        (TrainSpec, {"epochs": 0}, "part.epochs must be greater than or equal to 1; given 0"),
        (TrainSpec, {"epochs": True}, "part.epochs must be a valid integer; given True"),
        (TrainSpec, {"epochs": "3"}, "part.epochs must be a valid integer; given '3'"),
        (
            TrainSpec,
            {"optimizer": "adan"},
            "part.optimizer must be 'adam', 'adamw', 'sgd', 'rmsprop' or 'lbfgs'; given 'adan'",
        ),
        (TrainSpec, {"stop_loss": -1.0}, "part.stop_loss must be greater than 0; given -1.0"),
        (TrainSpec, {"learning_rate": float("nan")}, "part.learning_rate must be a finite number; given nan"),
        (SelectSpec, {"rule": "lowst"}, "part.rule must be"),
        (SelectSpec, {"control": -1}, "part.control must be greater than or equal to 0; given -1"),
        (DataSpec, {}, "the key 'part.name' is required but missing"),
        (DataSpec, {"name": "digits", "val_fraction": 1.0}, "part.val_fraction must be less than 1; given 1.0"),
        (
            DataSpec,
            {"name": "digits", "train_sample": 5},
            "unknown key 'part.train_sample'; did you mean 'train_samples'?",
        ),
        (ScoreSpec, {"noise_std": 0.0}, "part.noise_std must be greater than 0; given 0.0"),
        (ScoreSpec, {"probe_init": "he_norml"}, "part.probe_init must be 'own', 'standard_normal', "),
        ("table", "text", "part must be a table of keys and values; given 'text'"),
    ],
)
def test_every_wrong_value_is_told_in_one_line_with_file_and_key(cls, values, message):
    with pytest.raises(InvalidInputError) as caught:
        validate(TrainSpec if cls == "table" else cls, values, source="my/study.toml", where="part")
    text = str(caught.value)
    assert text.startswith("my/study.toml: " + message)
    assert "\n" not in text


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Inner:
    alpha: int = 1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Outer:
    inner: Inner
    beta: int = 2


def test_keys_of_nested_tables_are_told_whole_with_their_own_neighbours():
    with pytest.raises(InvalidInputError, match=r"^f: unknown key 'inner.alhpa'; did you mean 'alpha'\?$"):
        validate(Outer, {"inner": {"alhpa": 1}}, source="f")
    assert validate(Outer, {"inner": {"alpha": 5}}, source="f") == Outer(Inner(5))


def test_read_toml_refuses_what_is_none(tmp_path):
    path = tmp_path / "a.toml"
    for content, message in ((b"a = ", "is not valid TOML"), (b"\xff\xfe", "UTF-16")):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match=message) as caught:
            read_toml(path)
        assert str(path) in str(caught.value)
    with pytest.raises(InvalidInputError, match=r"cannot read .*nothing\.toml'?: No such file"):
        read_toml(tmp_path / "nothing.toml")
    path.write_text('a = "ü"', encoding="utf-8")
    assert read_toml(path) == {"a": "ü"}


def test_bundled_files_are_found():
    assert {"fc", "cnn", "fc_vs_cnn", "depth_vs_width", "init"} <= set(bundled("search_spaces"))
    assert "quickstart" in bundled("studies")
    assert all(p.is_file() for p in bundled("search_spaces").values())


def test_locate_takes_names_and_paths(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text("")
    assert locate("fc", "search_spaces") == bundled("search_spaces")["fc"]
    assert locate(tmp_path / "mine.toml", "search_spaces") == tmp_path / "mine.toml"
    assert locate("mine.toml", "search_spaces", beside=tmp_path) == tmp_path / "mine.toml"
    monkeypatch.chdir(tmp_path)
    assert locate("mine.toml", "search_spaces") == Path("mine.toml")


@pytest.mark.parametrize("bad", ["fcc", "no/such.toml", "/", "", "x" * 5000, "a\0b"])
def test_locate_refuses_what_is_not_there(bad):
    with pytest.raises(InvalidInputError, match=r"no search space file .*(did you mean 'fc'|valid: cnn)"):
        locate(bad, "search_spaces")


FIXED = "depth = 1\nwidth = 3\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[fcc]\nwidth = 3", "unknown key 'fcc'; did you mean 'fc'?"),
        ("constraint = 1\n[fc]\n" + FIXED, "unknown key 'constraint'; did you mean 'constraints'?"),
        ("[fc]\ndropuot = 0.1\n" + FIXED, "unknown key 'fc.dropuot'; did you mean 'dropout'?"),
        ("[fc]\ndepth = 1", "the key 'fc.width' is required but missing"),
        ("fc = 3", "fc must be a table of parameters; given 3"),
        ("name = 3\n[fc]\n" + FIXED, "name must be a string; given 3"),
        ("", "at least one family table is required; valid: alexnet, cell, cnn"),
        (
            "[fc]\ndepth = 1\nwidth = {low = 1, high = 3}",
            "fc.width.type must be 'int', 'float', 'categorical' or 'list'",
        ),
        ("[fc]\ndepth = 1\nwidth = {type = 'integer', low = 1, high = 3}", "fc.width.type must be"),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, hihg = 3}",
            "unknown key 'fc.width.hihg'; did you mean 'high'?",
        ),
        ("[fc]\ndepth = 1\nwidth = {type = 'int', low = 1}", "the key 'fc.width.high' is required but missing"),
        ("[fc]\ndepth = 1\nwidth = {type = 'int', low = 4, high = 3}", "fc.width: low must not be greater than high"),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1.5, high = 3}",
            "fc.width.low must be a finite int; given 1.5",
        ),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, high = true}",
            "fc.width.high must be a finite int; given True",
        ),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 0, high = 3}",
            "fc.width must be greater than or equal to 1; given 0",
        ),
        ("[fc]\ndepth = 1\nwidth = {type = 'int', low = 0, high = 3, log = true}", "fc.width: log needs a low above 0"),
        ("[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, high = 3, log = 1}", "fc.width.log must be true or false"),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, high = 3, step = 0}",
            "fc.width.step must be greater than 0",
        ),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, high = 4, step = 2}",
            "fc.width: high - low must be a multiple",
        ),
        (
            "[fc]\ndepth = 1\nwidth = {type = 'int', low = 1, high = 5, step = 2, log = true}",
            "fc.width: log and step cannot be combined",
        ),
        ("[fc]\ndepth = 1\nwidth = []", "fc.width.choices must be a list of at least one value; given []"),
        ("[fc]\ndepth = 1\nwidth = [3, 3]", "fc.width.choices must differ from each other"),
        ("[fc]\ndepth = 1\nwidth = [3, 'a']", "fc.width.choices must all be of one type"),
        ("[fc]\ndepth = 1\nwidth = [3, [4]]", "fc.width.choices must be booleans, numbers or strings"),
        ("[fc]\ndepth = 1\nwidth = [3, 4.5]", "fc.width must be a valid integer; given 4.5"),
        ("[fc]\nactivation = 'rleu'\n" + FIXED, "fc.activation must be 'relu', "),
        ("[fc]\ninit = ['he_normal', 'he']\n" + FIXED, "fc.init must be 'standard_normal', "),
        ("[fc]\ndropout = {type = 'float', low = 0, high = 1}\n" + FIXED, "fc.dropout must be less than 1; given 1"),
        (
            "[fc]\n" + FIXED + "[constraints]\nparam = {max = 3}",
            "unknown key 'constraints.param'; did you mean 'params'?",
        ),
        (
            "[fc]\n" + FIXED + "[constraints]\nparams = {maximum = 3}",
            "unknown key 'constraints.params.maximum'; valid: min",
        ),
        ("[fc]\n" + FIXED + "[constraints]\nparams = 3", "constraints.params must be a table with min, max or both"),
        ("[fc]\n" + FIXED + "[constraints]\nparams = {}", "constraints.params must be a table with min, max or both"),
        ("[fc]\n" + FIXED + "[constraints]\nparams = {max = '3'}", "constraints.params.max must be a finite number"),
        ("[fc]\n" + FIXED + "[constraints]\nparams = {min = nan}", "constraints.params.min must be a finite number"),
        (
            "[fc]\n" + FIXED + "[constraints]\nparams = {min = 4, max = 3}",
            "constraints.params: min must not be greater",
        ),
        ("[fc]\n" + FIXED + "[constraints]\ninit = {max = 3}", "unknown key 'constraints.init'; "),
    ],
)
def test_every_wrong_space_is_told_with_file_and_key(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        load_space(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert message in told
    assert "\n" not in told
