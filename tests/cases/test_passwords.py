"""Passwords in URLs: none of 50 is shown, by whatever command, in whatever stream, log or database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas_sens.core.secrets import hidden_passwords, hide_password, redact
from tests import tiny_study
from tests.fuzz import command_lines

HOSTS = ("127.0.0.1:1/d", "nowhere.invalid/d", "127.0.0.1:1/d?connect_timeout=1")
# A password as it is written in the URL, and what of it must not be seen.
PASSWORDS = (
    ("s3cretword", ["s3cretword"]),
    ("Summer@2024", ["Summer", "2024"]),
    ("p@ss", ["p@ss", ":p@", "ss@"]),
    ("p%40ss", ["p%40ss", "p@ss"]),
    ("a:b-hunter", ["a:b-hunter", "b-hunter"]),
    ("slash/inside", ["slash/inside", "inside@"]),
    ("hash#inside", ["hash#inside", "inside@"]),
    ("what?inside", ["what?inside", "inside@"]),
    ("100%sure", ["100%sure"]),
    ("x", [":x@"]),
    ("é-ünïcode", ["é-ünïcode", "%C3%A9"]),
    ("two words", ["two words", "two+words", "two%20words"]),
    ("quo'te\"d", ["quo'te", 'te"d']),
    ("back\\slash", ["back\\slash", "back\\\\slash"]),
    ("@@@hunter2", ["hunter2"]),
)
SCHEMES = ("postgresql", "mysql+pymysql")
URLS = [
    *((f"{scheme}://alice:{p}@{HOSTS[i % 3]}", parts) for i, (p, parts) in enumerate(PASSWORDS) for scheme in SCHEMES),
    *((f"redis://alice:{p}@127.0.0.1/0", parts) for p, parts in PASSWORDS[:6]),
    *((f"mysql+none://alice:{p}@127.0.0.1/d", parts) for p, parts in PASSWORDS[6:9]),
    ("postgresql://127.0.0.1:1/d?user=u&password=hunter2", ["hunter2"]),
    ("postgresql://u@127.0.0.1:1/d?password=p%40ssw0rd", ["p%40ssw0rd", "p@ssw0rd"]),
    ("mysql+pymysql://u@127.0.0.1:1/d?passwd=hunter2", ["hunter2"]),
    ("postgresql://u:pw1x@127.0.0.1:1/d?sslpassword=hunter2", ["hunter2", "pw1x"]),
    ("postgresql://u:hunter2@127.0.0.1:port/d", ["hunter2"]),
    ("postgresql://u:hunter2@127.0.0.1:99999/d", ["hunter2"]),
    ("postgresql:/u:hunter2@127.0.0.1/d", ["hunter2"]),
    ("sqlite://u:hunter2@/none/a.db", ["hunter2"]),
    ("http://u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("postgresql+asyncpg://u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("postgresql://:hunter2@127.0.0.1:1/d", ["hunter2"]),
    (" postgresql://u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("'postgresql://u:hunter2@127.0.0.1:1/d'", ["hunter2"]),
    ("postgresql:u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("postgresql//u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("postgresql:///u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("u:hunter2@127.0.0.1:1/d", ["hunter2"]),
    ("u:hunter:two@127.0.0.1:1/d", ["hunter", "two@"]),
    ("host=127.0.0.1 user=u password=hunter2", ["hunter2"]),
    ("jdbc:postgresql://127.0.0.1:1/d?user=u&password=hunter2", ["hunter2"]),
    ("mysql+pymysql:u:hunter2@127.0.0.1/d", ["hunter2"]),
]  # fmt: skip
COMMANDS = (
    ["rank", "study"], ["--debug", "status", "study"], ["search", "study.toml"], ["worker", "study"],
    ["migrate", "--all"], ["dashboard"],
)  # fmt: skip


def test_there_are_fifty() -> None:
    assert len({url for url, _ in URLS}) >= 50


@pytest.mark.parametrize(("url", "parts"), URLS, ids=[url for url, _ in URLS])
def test_no_command_shows_any_part_of_it(url: str, parts: list[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(command_lines.STUDY)
    (tmp_path / "space.toml").write_text(tiny_study.SPACE)
    (tmp_path / "data.npz").write_bytes((command_lines.prepared() / "data.npz").read_bytes())
    before = command_lines.listing(tmp_path)
    for i, command in enumerate(COMMANDS if URLS.index((url, parts)) % 8 == 0 else COMMANDS[:2]):
        given = ["--storage", url] if i % 2 else [f"--storage={url}"]
        code, out, err = command_lines.call([*command, *given], tmp_path)
        assert code in (1, 2), err
        for part in parts:
            assert part not in out + err
        assert "error: " in err.splitlines()[-1]
        assert "fault of nas_sens" not in err
        assert err.splitlines()[-1].count("***") <= 3, "the message is starred"
    assert command_lines.listing(tmp_path) == before


@pytest.mark.parametrize("password", ["Summer@2024", "p@ss", "@@@hunter2"])
def test_an_at_that_is_not_escaped_is_named(password: str, tmp_path: Path) -> None:
    code, _, err = command_lines.call(["rank", "a", "--storage", f"postgresql://a:{password}@h.invalid/d"], tmp_path)
    assert code == 2
    assert "write @ as %40" in err
    assert "postgresql://a:***@h.invalid/d" in err


@pytest.mark.parametrize("password", ["s3cretword", "p@ss", "x"])
def test_the_environment_is_looked_at_as_well(password: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "OPTUNA_STORAGE": f"postgresql://u:{password}@127.0.0.1:1/d",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "nas_sens", "--debug", "rank", "a"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "Traceback" in done.stderr
    assert f":{password}@" not in done.stdout + done.stderr
    assert len(password) == 1 or password not in done.stdout + done.stderr


@pytest.mark.parametrize("place", ["s3://AKIAKEY:hunter2secret@bucket/a", "gs://k:hunter2@bucket", "s3://k:a/b2c3@x/y"])
def test_credentials_in_the_place_of_artifacts_are_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(command_lines.STUDY.replace("npz:data.npz", "digits"))
    (tmp_path / "space.toml").write_text(tiny_study.SPACE)
    before = command_lines.listing(tmp_path)
    code, out, err = command_lines.call(["search", "study.toml", "-q", "--artifacts", place], tmp_path)
    assert code == 2
    assert "without credentials" in err
    assert place.split("@")[0].rpartition(":")[2] not in out + err
    assert command_lines.listing(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("at postgresql://u:pw12@h/d", "postgresql://u:pw12@h/d", "at postgresql://u:***@h/d"),
        ("user 'pw12' refused", "postgresql://u:pw12@h/d", "user '***' refused"),
        ("pw123 and xpw12 are other words", "postgresql://u:pw12@h/d", "pw123 and xpw12 are other words"),
        ("Failed to import the appropriate", "postgresql://u:p@h/d", "Failed to import the appropriate"),
        ("password 'p' for host 'h'", "postgresql://u:p@h/d", "password '***' for host 'h'"),
        ("(pw%40x) and (pw@x)", "postgresql://u:pw%40x@h/d", "(***) and (***)"),
        ("of another: mysql://u:hunter2@h/d", "", "of another: mysql://u:***@h/d"),
        ("a time, 10:30, and me@example.org", "", "a time, 10:30, and me@example.org"),
    ],
)  # fmt: skip
def test_texts(text: str, url: str, expected: str) -> None:
    assert redact(text, url) == expected


def test_urls_without_a_password_stay_as_they_are() -> None:
    for url in ("sqlite:////home/a:b@c/d.db", "postgresql://u@h/d", "sqlite:///C:/a@b.db", "s3://bucket/a@b", "x", ""):
        assert hide_password(url) == url
        assert redact(f"see {url} and on", url) == f"see {url} and on"


def test_data_on_stdout_keep_a_number_that_is_also_a_password(capsys: pytest.CaptureFixture[str]) -> None:
    with hidden_passwords(["--storage", "mysql+pymysql://u:1234@h/d"]):
        sys.stdout.write('{"params": 1234}\n')
        sys.stderr.write("mysql+pymysql://u:1234@h/d\n")
        sys.stderr.write("the password 1234 is wrong\n")
    out, err = capsys.readouterr()
    assert out == '{"params": 1234}\n'
    assert "1234" not in err


def test_nothing_of_it_is_stored(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nas_sens.db?timeout=5&password=hunter2"
    for name in ("study.toml", "space.toml", "data.npz"):
        (tmp_path / name).write_bytes((command_lines.prepared() / name).read_bytes())
    code, out, err = command_lines.call(["search", "study.toml", "--storage", url, "--workers", "1"], tmp_path)
    assert "hunter2" not in out + err
    assert code in (0, 1, 2)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
