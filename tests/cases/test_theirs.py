"""What is somebody else's is left alone: reports, folders, files in the place where nas_sens writes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.report import write_report
from nas_sens.results.report_file import check_report_file, report_path

STUDY = """
name = "mine"
search_space = "space.toml"
[data]
name = "digits"
train_samples = 60
[score]
n_inputs = 16
seeds = 2
[search]
n_candidates = 3
[select]
top_k = 1
control = 0
[train]
epochs = 1
seeds = 1
"""
SPACE = """
name = "space"
[fc]
depth = {type = "int", low = 1, high = 3}
width = 8
init = "he_normal"
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder with a small study: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTUNA_STORAGE", "")
    (tmp_path / "mine.toml").write_text(STUDY)
    (tmp_path / "space.toml").write_text(SPACE)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        return (end.value.code, *capsys.readouterr())  # type: ignore[return-value]

    return call


def report_of(path: Path, name: str) -> Path:
    return write_report(path, name=name, protocol={}, candidates=[], trained=[])


# -- reports -----------------------------------------------------------------------------------------------------------


def page_of_pytest(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><head><title>report.html</title></head>")


def page_that_quotes_ours(path: Path) -> None:
    page = report_of(path, "mine").read_text()
    path.write_text("<pre>" + 2000 * " " + page)


THEIRS = {
    "another tool's page": page_of_pytest,
    "a page that quotes ours": page_that_quotes_ours,
    "a text": lambda path: path.write_text("notes"),
    "another study's report": lambda path: report_of(path, "other"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
}


def content(path: Path) -> object:
    return path.read_bytes() if path.is_file() else (stat.S_IFMT(path.lstat().st_mode), path.lstat().st_ino)


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize("kind", THEIRS)
def test_what_is_not_its_report_is_left_alone_and_nothing_begins(run: Run, kind: str, default: bool) -> None:
    path = report_path("mine") if default else Path("theirs.html")
    THEIRS[kind](path)
    before, files = content(path), sorted(Path().iterdir())
    code, out, err = run("search", "mine.toml", "-q", *([] if default else ["-o", str(path)]))
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert str(path) in err
    assert "give another path with -o" in err
    assert content(path) == before
    assert sorted(Path().iterdir()) == files, "nothing was written, no database either"


@pytest.mark.parametrize("place", ["file/r.html", "file/deeper/r.html", "x" * 300 + ".html", "locked/r.html"])
def test_a_report_that_cannot_be_written_is_told_before_anything_runs(run: Run, place: str) -> None:
    Path("file").write_text("")
    Path("locked").mkdir(mode=0o500)
    if place.startswith("locked") and os.access("locked", os.W_OK):
        pytest.skip("root may write everywhere")
    code, _, err = run("search", "mine.toml", "-q", "-o", place)
    assert (code, err.count("\n")) == (2, 1), err
    assert "give another path with -o" in err
    assert not list(Path().glob("*.db"))


def test_its_own_report_is_replaced_and_so_is_an_empty_file(run: Run) -> None:
    assert run("search", "mine.toml", "-q")[0] == 0
    path = Path("mine_report.html")
    first = path.read_bytes()
    path.chmod(0o644)
    assert run("report", "mine") == (0, "mine_report.html\n", "")
    assert path.read_bytes() == first
    Path("empty.html").touch()
    assert run("report", "mine", "-o", "empty.html")[0] == 0
    assert Path("empty.html").read_bytes() == first
    page_of_pytest(path)
    theirs = path.read_bytes()
    assert run("report", "mine")[0] == 2
    assert path.read_bytes() == theirs


def test_a_link_to_its_report_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.html", tmp_path / "link.html"
    link.symlink_to(real)
    for _ in range(2):
        report_of(link, "mine")
        assert link.is_symlink()
        assert real.is_file()


NAMES = (
    *("plain", "a/b", "a\\b", "a b", "a_b", "..", ".", "...", "-rf", ".hidden", "<b>x</b>", "a\nb", "a\x1b[31mb"),
    *("x" * 500, "x" * 501, "☃" * 300, "ünïcode", "u\N{COMBINING DIAERESIS}", "CON", "", "a\0b", "../../etc/passwd"),
    *("%41", "A", "a"),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_reports_are_named_after_their_studies(tmp_path: Path, name: str) -> None:
    path = report_path(name)
    assert path.name == str(path), "a file of this folder"
    assert path.name.endswith("_report.html")
    assert path.name[0] not in ".-"
    assert path.name.isprintable()
    report_of(tmp_path / path, name)
    report_of(tmp_path / path, name)
    for other in NAMES:
        if other != name:
            assert report_path(other) != path
            with pytest.raises(ns.InvalidInputError, match="another study"):
                check_report_file(tmp_path / path, other)
