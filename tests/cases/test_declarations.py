"""Declared files of other encodings and formats, and spaces without a candidate: one line with the way out."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from nas_sens.cli.inspect_commands import first_line_of
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.toml_reader import read_toml
from nas_sens.scoring.infeasible import reasons_of
from tests import tiny_study
from tests.fuzz import command_lines

TEXT = 'name = "a"\n[data]\nname = "digits"\n'
HINTS = [
    ("[data]\n\u00a0\u00a0name = 'a'", "a space or a sign that is not seen"),
    ("\u200bname = 'a'", "a space or a sign that is not seen"),
    ("name = \u201ca\u201d", "typographic quotes"),
    ("seed = \u22121", "no minus"),
    ("[data]\nname: 'digits'", "not KEY: VALUE"),
    ("// a comment\nname = 'a'", "begins with #"),
    ("name = 'a' // a comment", "begins with #"),
    ("name = quickstart", "text stands in quotes"),
    ("name == 'a'", "write one ="),
    ("download = True", "true or false"),
    ("target = None", "leave its line out"),
    ("target =", "leave its line out"),
    ("x = { a = 1, }", "without a comma"),
    ("x = { a = 1,\n b = 2 }", "without a comma"),
    ("name = 'a';", "without ;"),
    ("seed = 007", "without 0"),
    ("x = 0,5", "decimal point"),
    ("x = 20 %", "from 0 to 1"),
    ("name = 'a'\nname = 'b'", "there already; remove one"),
    ("[data]\na = 1\n[data]\nb = 1", "under one heading"),
    ("data.name = 'a'\n[data]\nb = 1", "under one heading"),
    ('x = "csv:D:\\Users\\u.csv"', "in single quotes or with /"),
    ('x = "npz:\\\\server\\share\\a.npz"', "in single quotes or with /"),
]
WRONG = [
    (TEXT.encode("utf-16"), "UTF-16"),
    (TEXT.replace("a", "é").encode("latin-1"), "save it as UTF-8"),
    (b'[data]\nname = "npz:C:\\Users\\me\\data.npz"\n', "in single quotes or with /"),
    (b'[data]\nname = "npz:C:\\data\\new.npz"\n', "in single quotes or with /"),
    (b'{"name": "a"}', "looks like JSON"),
    (b"name: a\ndata:\n  name: digits\n", "looks like YAML"),
    (b"import nas_sens\n", "looks like Python"),
    *[(line.encode(), hint) for line, hint in HINTS],
    (TEXT.encode("utf-16-be"), "save it as UTF-8"),
    (b"\x89PNG\r\n\x1a\n\0\0", "is a picture"),
    (b"PK\3\4\0", "is a zip archive"),
    (b"a = " + b"[" * 5000, "nested too deeply"),
    (b"a = " + b"9" * 5000, "not valid TOML"),
]


@pytest.mark.parametrize(("content", "text"), WRONG, ids=[f"{content[:20]!r} {text}" for content, text in WRONG])
def test_what_is_no_toml_is_called_by_its_name(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=text) as error:
        read_toml(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + TEXT.encode(), TEXT.replace("\n", "\r\n").encode()])
def test_byte_order_mark_and_crlf_are_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    assert read_toml(path) == {"name": "a", "data": {"name": "digits"}}


def test_a_space_without_candidates_says_why_and_how_near_and_leaves_no_database(tmp_path: Path) -> None:
    space = tiny_study.SPACE + "[constraints]\nparams = { max = 5 }\n"
    (tmp_path / "space.toml").write_text(space)
    (tmp_path / "study.toml").write_text(command_lines.STUDY.replace("npz:data.npz", "digits"))
    before = command_lines.listing(tmp_path)
    code, _, err = command_lines.call(["search", "study.toml", "-q"], tmp_path)
    assert code == 2
    assert "params must be at most 5, the smallest sampled has" in err
    assert "(7 of 7)" in err
    assert command_lines.listing(tmp_path) == before


def test_reasons_are_counted_and_the_nearest_is_told() -> None:
    above = [f"infeasible: params = {n} is above the maximum of 1000" for n in (1210, 5000)]
    text = reasons_of([*above, "infeasible: a kernel of 3 is too large"])
    assert text.startswith("params must be at most 1,000, the smallest sampled has 1,210 (2 of 3)")
    assert "a kernel of 3 is too large (1 of 3)" in text


def test_a_path_whose_backslashes_were_taken_for_other_characters_says_so(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(tiny_study.SPACE)
    (tmp_path / "study.toml").write_text(command_lines.STUDY.replace("npz:data.npz", r"npz:data\new.npz"))
    code, _, err = command_lines.call(["score", "study.toml", "-q"], tmp_path)
    assert code == 2
    assert "in single quotes or with /" in err


def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(tiny_study.SPACE)
    (tmp_path / "study.toml").write_text(command_lines.STUDY.replace("npz:data.npz", "digits"))
    code, _, err = command_lines.call(["score", "study.toml", "-q", "--seed", str(2**32)], tmp_path)
    assert code == 2
    assert "search.seed must be less than 4294967296" in err


@pytest.mark.parametrize("content", [b"", "other"])
@pytest.mark.parametrize(
    "command", [["rank", "a"], ["worker", "a"], ["report", "a"], ["status", "a"], ["migrate", "--all"]]
)
def test_no_tables_are_made_in_an_empty_database_or_in_that_of_another_program(
    content: bytes | str, command: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "nas_sens.db"
    if content == "other":
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE notes (text)")
            connection.commit()
    else:
        path.touch()
    before = path.read_bytes()
    code, _, err = command_lines.call(command, tmp_path)
    assert code == 2
    assert "holds no study" in err
    assert path.read_bytes() == before


def test_a_family_without_docstring_has_no_description() -> None:
    assert first_line_of(type("Family", (), {})) == ""
    assert first_line_of(type("Family", (dict,), {"__doc__": "  \n"})) == ""
    assert first_line_of(type("Family", (), {"__doc__": "One line.\n\nMore."})) == "One line."
    assert first_line_of(type("Family", (dict,), {})) == "", "that of another class is not its own"


@pytest.mark.parametrize(
    ("space", "text"),
    [
        (
            '[fc]\ndepth = { type = "int", low = 1, high = 1_000_000_000 }\nwidth = 4\n',
            "fc.depth must be less than or equal",
        ),
        ("[fc]\ndepth = 1_000_000_000\nwidth = 4\n", "fc.depth must be less than or equal"),
        ("[fc]\ndepth = 1\nwidth = 1_000_000_000_000\n", "more than 2^31"),
        ("[cnn]\ndepth = 1_000_000_000\nchannels = 4\n", "cnn.depth must be less than or equal"),
        ("[resnet]\nstages = 1\nblocks = 1_000_000_000\nwidth = 4\n", "resnet.blocks must be less than or equal"),
        ("[resnet]\nstages = 1\nblocks = 1\nwidth = 1_000_000_000_000\n", "no candidate that is feasible"),
    ],
)
def test_spaces_larger_than_any_machine_are_refused_at_once(space: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(space)
    (tmp_path / "study.toml").write_text(command_lines.STUDY.replace("npz:data.npz", "digits"))
    before = command_lines.listing(tmp_path)
    code, _, err = command_lines.call(["score", "study.toml", "-q"], tmp_path)
    assert code == 2, err
    assert text in err
    assert command_lines.listing(tmp_path) == before
