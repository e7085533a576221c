"""Declared files of other encodings and formats, and spaces without a candidate: one line with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.core.toml_reader import read_toml
from nas_sens.scoring.infeasible import reasons_of
from tests.fuzz import command_lines

TEXT = 'name = "a"\n[data]\nname = "digits"\n'
WRONG = [
    (TEXT.encode("utf-16"), "UTF-16"),
    (TEXT.replace("a", "é").encode("latin-1"), "save it as UTF-8"),
    (b'[data]\nname = "npz:C:\\Users\\me\\data.npz"\n', "in single quotes or with /"),
    (b'[data]\nname = "npz:C:\\data\\new.npz"\n', "in single quotes or with /"),
    (b'{"name": "a"}', "looks like JSON"),
    (b"name: a\ndata:\n  name: digits\n", "looks like YAML"),
    (b"import nas_sens\n", "looks like Python"),
    (b"a = " + b"[" * 5000, "nested too deeply"),
    (b"a = " + b"9" * 5000, "not valid TOML"),
]


@pytest.mark.parametrize(("content", "text"), WRONG, ids=[text for _, text in WRONG])
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
    space = command_lines.SPACE + "[constraints]\nparams = { max = 5 }\n"
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
