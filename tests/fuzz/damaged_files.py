"""Databases, exported folders, archives and tables in which something is other than it was written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz import command_lines
from tests.fuzz.contract import fault_of_message

COMMANDS = (
    ["rank", "study"], ["rank", "study", "--scored", "--format", "csv"], ["report", "study", "-o", "r.html"],
    ["status", "study"], ["export", "study", "-o", "out"], ["search", "study.toml", "-q", "--report", "r.html"],
    ["score", "study.toml", "-q", "--n-candidates", "3"], ["train", "study", "-q"], ["migrate", "--all"],
    ["replay", "study", "--budgets", "1", "--repeats", "2"], ["worker", "study", "-q"],
)  # fmt: skip
# JSON texts, and what is none.
TEXTS = (
    "", "null", "true", "0", "-1", "1e400", "NaN", "Infinity", '""', '"x"', "[]", "{}", "{", "[1,", '{"a": 1}', "[[]]",
    '"\\u0000"', '"\\ud800"', "\x00", "\x1b[31m", '"' + "x" * 5000 + '"', "[" * 3000, str(10**400), "'a'", '{"": {}}',
    '"ok"', '"failed: x"', "[1, 2, 3]", '"fc"', '{"family": "fc"}', '{"family": "no", "depth": 1}', "\x1f", "1, 2",
)  # fmt: skip
ATTRIBUTES = ("trial_user_attributes", "study_user_attributes", "study_system_attributes", "trial_system_attributes")


@st.composite
def damages(draw: st.DrawFn) -> tuple[Any, ...]:
    """Return a strategy of what is done to a database, and the command that reads it."""
    command = draw(st.sampled_from(COMMANDS))
    how = draw(
        st.sampled_from(["text"] * 6 + ["key", "row", "row", "column", "table", "bytes", "bytes", "cut", "value"])
    )
    return (
        how,
        draw(st.integers(0, 10**6)),
        draw(st.sampled_from(TEXTS)),
        draw(st.binary(min_size=1, max_size=8)),
        command,
    )


def damage_database(path: Path, how: str, number: int, text: str, data: bytes) -> None:
    """Do to a database what is drawn; places are counted around."""
    if how in ("bytes", "cut"):
        content = path.read_bytes()
        at = number * 7919 % len(content)
        path.write_bytes(content[:at] if how == "cut" else content[:at] + data + content[at + len(data) :])
        return
    with sqlite3.connect(path) as connection:
        tables = [t for (t,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        filled = [t for t in tables if connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0]]
        if how == "table":
            connection.execute(f"DROP TABLE {tables[number % len(tables)]}")
        elif how == "row":
            table = filled[number % len(filled)]
            ids = [i for (i,) in connection.execute(f"SELECT rowid FROM {table}")]
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (ids[number // 7 % len(ids)],))
        elif how in ("text", "key"):
            chosen = [t for t in ATTRIBUTES if t in filled]
            table = chosen[number % len(chosen)] if number % 3 else chosen[0]
            ids = [i for (i,) in connection.execute(f"SELECT rowid FROM {table}")]
            column = "value_json" if how == "text" else "key"
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (text, ids[number // 7 % len(ids)]))
        else:  # "column": of a whole table; "value": of one row
            table = filled[number % len(filled)]
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            column = columns[number // 7 % len(columns)]
            ids = [i for (i,) in connection.execute(f"SELECT rowid FROM {table}")]
            where = "" if how == "column" else f" WHERE rowid = {ids[number // 11 % len(ids)]}"
            try:
                connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?{where}", (text,))
            except sqlite3.Error:
                connection.rollback()
    connection.close()


def run_database(damage: tuple[Any, ...]) -> str | None:
    """Return what is wrong with what a command makes of a damaged database; None if nothing is."""
    how, number, text, data, command = damage
    with tempfile.TemporaryDirectory(prefix="nas_sens_fuzz_") as name:
        folder = Path(name) / "a"
        shutil.copytree(command_lines.prepared(), folder)
        damage_database(folder / "nas_sens.db", how, number, text, data)
        fault = command_lines.run(command, folder)
    return None if fault is None else fault.replace(str(folder), "")


@st.composite
def damaged_bytes(draw: st.DrawFn) -> tuple[Any, ...]:
    """Return a strategy of which file is altered, where and how."""
    which = draw(st.sampled_from(["npz", "csv", "config.json", "model.safetensors", "architecture", "README.md"]))
    return which, draw(st.integers(0, 10**6)), draw(st.sampled_from(["put", "cut", "text"])), draw(
        st.binary(min_size=1, max_size=8)), draw(st.sampled_from(TEXTS))  # fmt: skip


def run_bytes(damage: tuple[Any, ...]) -> str | None:
    """Return what is wrong with what `measure` makes of a damaged file; None if nothing is."""
    which, number, how, data, text = damage
    with tempfile.TemporaryDirectory(prefix="nas_sens_fuzz_") as name:
        folder = Path(name) / "a"
        shutil.copytree(command_lines.prepared(), folder)
        code, _, err = command_lines.call(["export", "study", "-o", "out"], folder)
        assert code == 0, err
        rows = "".join(f"{i},{i * 7 % 5},{'ab'[i % 2]}\n" for i in range(60))
        (folder / "t.csv").write_text("p,q,y\n" + rows)
        files = sorted(p for p in (folder / "out").iterdir() if p.suffix != ".pt2")
        path = {"npz": folder / "data.npz", "csv": folder / "t.csv"}.get(which) or next(
            (p for p in files if p.name == which), files[number % len(files)]
        )
        content = path.read_bytes()
        if how == "text" and path.suffix == ".json":
            table = json.loads(content)
            key = sorted(table)[number % len(table)]
            path.write_text(json.dumps({k: v for k, v in table.items() if k != key})[:-1] + f', "{key}": {text}}}')
        else:
            at = number * 7919 % len(content)
            path.write_bytes(content[:at] if how == "cut" else content[:at] + data + content[at + len(data) :])
        source = ["csv:t.csv", "--target", "y"] if which == "csv" else ["npz:data.npz"]
        model = "out" if which not in ("npz", "csv") else "fc:depth=1,width=4"
        return command_lines.run(
            ["measure", model, "--metrics", "params", "--n-inputs", "8", "--data", *source], folder
        )


__all__ = ["COMMANDS", "damaged_bytes", "damages", "fault_of_message", "run_bytes", "run_database"]
