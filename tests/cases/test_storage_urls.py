"""URLs of storages as users get them wrong: one line with the right one, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import command_lines

WRONG = [
    ("sqlite:nas.db", "such as sqlite:///nas.db"),
    ("sqlite://nas.db", "three slashes"),
    ("sqlite://", "outlive"),
    ("sqlite:///:memory:", "outlive"),
    (":memory:", "such as sqlite:///nas_sens.db"),
    ("sqlite:////", "is a folder"),
    ("sqlite:///.", "is a folder"),
    ("sqlite:///~/nas.db", "without ~"),
    ("SQLITE:///nas.db", "write sqlite:// for it"),
    ("postgres://u:hunter2@h/d", "write postgresql:// for it"),
    ("mssql://u:hunter2@h/d", "must be SQLite, PostgreSQL, MySQL or MariaDB"),
    ("oracle+oracledb://u:hunter2@h/d", "must be SQLite, PostgreSQL, MySQL or MariaDB"),
    ("redis://:hunter2@h", "must be SQLite, PostgreSQL, MySQL or MariaDB"),
    ("journal.log", "such as sqlite:///nas_sens.db"),
    ("mysql+mysqldb://u:hunter2@127.0.0.1:1/d", "leave the driver out, as in mysql://"),
    ("mysql+pymysql://u:hunter2@127.0.0.1:1/d?ssl_ca=/none", "cannot open the storage"),
    ("postgresql://u:hunter2@[::1/d", "such as postgresql://USER@HOST:PORT/DATABASE"),
    ("postgresql://u:hunter2@127.0.0.1:port/d", "such as postgresql://USER@HOST:PORT/DATABASE"),
    ("sqlite:///data.npz", "not a database"),
]


@pytest.mark.parametrize(("url", "text"), WRONG, ids=[url for url, _ in WRONG])
def test_wrong(url: str, text: str, tmp_path: Path) -> None:
    if url.startswith("mysql+pymysql") and text == "cannot open the storage":
        pytest.importorskip("pymysql")
    (tmp_path / "data.npz").write_bytes((command_lines.prepared() / "data.npz").read_bytes())
    before = command_lines.listing(tmp_path)
    code, out, err = command_lines.call(["status", "study", "--storage", url], tmp_path)
    assert code in (1, 2)
    assert text in err.splitlines()[-1]
    assert "fault of nas_sens" not in err
    assert "hunter2" not in out + err
    assert command_lines.listing(tmp_path) == before
