"""What a study's file names by a relative path is looked for beside the file first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas_sens.core.errors import InvalidInputError
from nas_sens.data import DataSpec, load_data, without_path
from nas_sens.study.load import load_study
from tests import tiny_study
from tests.fuzz import command_lines

DATA = 'name = "npz:data.npz"'


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return the study's folder and the working directory; data, root and a folder are in both."""
    for name in ("study", "here"):
        (tmp_path / name / "photos").mkdir(parents=True)
        (tmp_path / name / "data.npz").write_bytes(b"")
        (tmp_path / name / "t.csv").write_text("arch\n")
    (tmp_path / "study" / "space.toml").write_text(tiny_study.SPACE)
    (tmp_path / "here" / "only_here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    return tmp_path / "study", tmp_path / "here"


def data_of(folder: Path, lines: str) -> DataSpec:
    (folder / "study.toml").write_text(command_lines.STUDY.replace(DATA, lines))
    return load_study(folder / "study.toml").data


@pytest.mark.parametrize(
    ("name", "is_beside"),
    [
        ("npz:data.npz", True), ("csv:t.csv", True), ("folder:photos", True), ("hf:photos", True),
        ("folder:only_here", False), ("npz:none.npz", False), ("npz:~/data.npz", False), ("hf:owner/name", False),
        ("digits", False),
    ],
)  # fmt: skip
def test_data(folders: tuple[Path, Path], name: str, is_beside: bool) -> None:
    kind, _, place = name.partition(":")
    assert data_of(folders[0], f'name = "{name}"').name == (f"{kind}:{folders[0] / place}" if is_beside else name)
    assert data_of(folders[1].parent / "study", f'name = "{name}"').name != f"{kind}:{folders[1] / place}"


def test_what_is_the_same_from_the_working_directory_stays_as_given(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders[0])
    for name in ("npz:data.npz", "folder:photos", "hf:photos"):
        assert data_of(Path(), f'name = "{name}"').name == name


def test_root_is_looked_for_where_it_is_declared(folders: tuple[Path, Path]) -> None:
    assert data_of(folders[0], f'{DATA}\nroot = "photos"').root == str(folders[0] / "photos")
    assert data_of(folders[0], f'{DATA}\nroot = "only_here"').root == "only_here"
    (folders[0] / "data").mkdir()
    assert data_of(folders[0], DATA).root == "data"


@pytest.mark.parametrize(("table", "expected"), [("t.csv", "study/t.csv"), ("~/t.csv", "here/t.csv")])
def test_table_of_outcomes(folders: tuple[Path, Path], table: str, expected: str) -> None:
    text = command_lines.STUDY.replace("epochs = 1\nseeds = 1", f'table = "{table}"')
    (folders[0] / "study.toml").write_text(text)
    assert load_study(folders[0] / "study.toml").train.table == str(folders[0].parent / expected)


def test_a_folder_is_no_part_of_the_protocol_and_a_name_of_the_hub_is(folders: tuple[Path, Path]) -> None:
    for name in (f"hf:{folders[0]}", "hf:./photos", "hf:~/photos", "hf:photos"):
        assert without_path(name) == "hf:"
    assert without_path("hf:owner/name") == "hf:owner/name"


@pytest.mark.parametrize(
    "name", ["npz:https://h/a.npz", "folder:http://h/a", "csv:ftp://h/a", "hf:https://h/d", "csv:s3://b/a"]
)
def test_addresses_are_not_read(name: str) -> None:
    with pytest.raises(InvalidInputError, match="addresses cannot be read"):
        load_data(DataSpec(name=name, target="y" if name.startswith("csv") else None))


def test_a_home_folder_in_root_is_expanded(folders: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidInputError) as error:
        load_data(DataSpec(name="mnist", root="~/none"))
    assert str(folders[1] / "none") in str(error.value)
    assert not os.path.exists(folders[1] / "none")
