"""Copies of databases that earlier revisions wrote, for tests of what becomes of them."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
REVISIONS = sorted(p.stem for p in ASSETS.glob("*.db"))


def copy_of(revision: str, folder: Path) -> Path:
    """Return a folder with a database under its default name, its artifacts, declaration and ranking."""
    shutil.copy(ASSETS / f"{revision}.db", folder / "nas_sens.db")
    shutil.copytree(ASSETS / f"{revision}_artifacts", folder / "nas_sens_artifacts")
    for kind in ("toml", "json"):
        shutil.copy(ASSETS / f"{revision}.{kind}", folder / f"study.{kind}")
    return folder


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/nas_sens.db"


def content(folder: Path) -> list[str]:
    """Return all that a database holds, as SQL, without the table that opening it makes."""
    with sqlite3.connect(folder / "nas_sens.db") as connection:
        return [line for line in connection.iterdump() if "nas_sens_leases" not in line]


def n_scored(folder: Path) -> int:
    """Return the number of scored candidates in two studies."""
    with sqlite3.connect(folder / "nas_sens.db") as connection:
        query = "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = 'stored'"
        return int(connection.execute(query).fetchone()[0])
