"""``nas-sens doctor`` and ``help``: what they find, how they end, and that nothing is left behind."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from nas_sens.cli import topics
from nas_sens.cli.main import _COMMANDS, main
from tests.tiny_study import SPACE, STUDY

ASSETS = Path(__file__).parents[1] / "assets"
CHECKS = [
    *("nas-sens", "python", "torch", "torchvision", "timm", "optuna", "optuna-dashboard", "requirements"),
    *("device", "threads", "database", "artifacts", "cache"),
]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out, err


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    code, out, err = run(capsys, "doctor", "--device", "cpu", "--format", "json", *arguments)
    assert err == ""
    findings = json.loads(out)
    assert [f["check"] for f in findings] == CHECKS
    return code, {f["check"]: f for f in findings}


def test_a_machine_in_order_has_nothing_to_mend_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_SENS_CACHE", str(tmp_path / "cache"))
    code, found = doctor(capsys, "--storage", "sqlite:///a.db")
    assert (code, [f["mend"] for f in found.values()]) == (0, [""] * len(CHECKS))
    assert list(tmp_path.iterdir()) == []
    assert run(capsys, "doctor", "--device", "cpu", "--storage", "sqlite:///a.db")[1].count("\n") == len(CHECKS)


def _other_schema(folder: Path) -> str:
    with sqlite3.connect(folder / "b.db") as connection:
        connection.execute("CREATE TABLE version_info (version_info_id, schema_version, library_version)")
        connection.execute("INSERT INTO version_info VALUES (1, 11, '2.0')")
        connection.execute("CREATE TABLE studies (study_id, study_name)")
        connection.execute("CREATE TABLE study_user_attributes (study_id, key)")
    return f"sqlite:///{folder / 'b.db'}"


def _broken(folder: Path) -> str:
    (folder / "c.db").write_bytes(b"no database at all" * 100)
    return f"sqlite:///{folder / 'c.db'}"


def _earlier(folder: Path) -> str:
    shutil.copy(ASSETS / "two_studies.db", folder / "d.db")
    return f"sqlite:///{folder / 'd.db'}"


# (arguments with {folder}, or what makes a database; the check that fails; what its line to mend says)
BAD = [
    (["--storage", "sqlite:///{folder}/none/a.db"], "database", "create it"),
    (["--storage", "postgresql://me:secret@127.0.0.1:1/x"], "database", ""),
    ([_other_schema], "database", "optuna storage upgrade"),
    ([_broken], "database", ""),
    ([_earlier], "database", "migrate --all"),
    (["--artifacts", "{folder}/file"], "artifacts", "name a folder"),
    (["--device", "cuda:99"], "device", "--device cpu"),
]


@pytest.mark.parametrize(("arguments", "check", "mend"), BAD)
def test_what_is_not_in_order_is_named_with_a_line_to_mend_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], check: str, mend: str
) -> None:
    (tmp_path / "file").touch()
    given = [a.format(folder=tmp_path) if isinstance(a, str) else a for a in arguments]
    given = given if "--storage" in given else [*given, "--storage", f"sqlite:///{tmp_path}/a.db"]
    if callable(given[0]):
        given = ["--storage", given[0](tmp_path)]
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    code, found = doctor(capsys, *map(str, given))
    assert code == 1
    assert [name for name, f in found.items() if not f["ok"]] == [check]
    assert mend in str(found[check]["mend"])
    assert found[check]["mend"]
    assert "secret" not in json.dumps(found)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_too_many_threads_and_a_cache_that_cannot_be_written_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    (tmp_path / "file").touch()
    monkeypatch.setenv("NAS_SENS_CACHE", str(tmp_path / "file" / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(500)
    try:
        code, found = doctor(capsys, "--storage", f"sqlite:///{tmp_path}/a.db")
    finally:
        torch.set_num_threads(before)
    assert code == 1
    assert [name for name, f in found.items() if not f["ok"]] == ["threads", "cache"]
    assert re.search(r"OMP_NUM_THREADS=\d+", str(found["threads"]["mend"]))
    assert "NAS_SENS_CACHE" in str(found["cache"]["mend"])


# (what is wrong, what the message ends in)
WHERE = [
    (["search", "{folder}/epochs.toml"], "nas-sens help train"),
    (["search", "{folder}/space.toml"], "nas-sens help study"),
    (["search", "quikstart"], "nas-sens help study"),
    (["measure", "fc:depth=0", "--data", "digits"], "nas-sens help search_space"),
    (["measure", "fc:depth=1", "--data", "digit"], "nas-sens help data"),
    (["rank", "x", "--storage", "sqlite:///{folder}/none.db"], "nas-sens doctor"),
    (["report", "x", "--by", "a"], "nas-sens help select"),
    (["migrate"], "nas-sens help migrate"),
]


@pytest.mark.parametrize(("arguments", "where"), WHERE)
def test_an_error_says_in_its_one_line_where_to_read_more_and_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], where: str
) -> None:
    (tmp_path / "epochs.toml").write_text(STUDY.replace("epochs = 1", "epochs = 0"))
    (tmp_path / "space.toml").write_text(SPACE)
    code, out, err = run(capsys, *(a.format(folder=tmp_path) for a in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.endswith(f" ({where})\n")
    if where != "nas-sens doctor":
        assert run(capsys, *where.split()[1:])[0] == 0


def test_help_shows_keys_with_defaults_metrics_with_their_source_and_refuses_what_is_not_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = run(capsys, "help", "train")[1]
    assert "    stop_loss: Stop once the training loss" in train
    assert '    optimizer = "adam"' in train
    assert "arXiv:2006.04647" in run(capsys, "help", "naswot")[1]
    assert "npz:PATH" in run(capsys, "help", "npz")[1]
    assert run(capsys, "help", "rank")[1].startswith("Usage: nas-sens rank")
    code, _, err = run(capsys, "help", "nasswot")
    assert (code, "did you mean 'naswot'?" in err) == (2, True)


def test_every_topic_that_an_error_may_name_has_a_text() -> None:
    for topic in {*topics._ROOMS.values()} - {"doctor"}:
        assert topic in topics.SECTIONS
    for section in topics.SECTIONS:
        assert len(topics.text_of(section) or "") > 100


def test_every_room_has_a_topic_or_leaves_it_to_the_command() -> None:
    rooms = {path.name for path in Path(topics._PACKAGE).iterdir() if (path / "__init__.py").is_file()}
    by_command = {"cli", "core", "dashboard", "executors", "models", "own_study", "pipeline", "report", "results"}
    assert rooms == {*topics._ROOMS, *by_command, "statistics"}  # which raises nothing that a user is shown


@pytest.mark.parametrize("command", sorted({*_COMMANDS} - {"help"}))
def test_a_mistake_in_the_options_of_a_command_leads_to_its_help(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, err = run(capsys, command, "--no-such-option")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("Error: No such option")  # behind how it is used
    assert err.endswith(f" (nas-sens help {command})\n")
