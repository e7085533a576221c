"""Command lines as users get them wrong: the options that a command has, with values that it takes or does not."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from hypothesis import strategies as st

from nas_sens.cli.main import cli, main
from tests import tiny_study
from tests.fuzz.contract import Hang, deadline, fault_of_message, name_of

DEADLINE = 30.0  # seconds of one command

STUDY = tiny_study.STUDY.replace("[select]\n", '[select]\nrule = "lowest"\n')
ODD = (
    "", " ", "-", "--", ".", "..", "/", "//", "~", "./none/", "data.npz", "study.toml", "folder", "nas_sens.db",
    "space.toml", "report.html/x", "a\x00b", "\x1b[31mred", "\udcff\udcfe", "é☃", "\u202eabc", "a/train", "x" * 10_000,
    "x" * 300, "a b'c\"d", "$(id)", "%s%n", "0", "-1", "1", "1.5", "nan", "inf", "-inf", "1e400", str(10**30),
    "9" * 5000, ",", ",,", "a,b", "5,,10", "all", "none", "True", "cuda:99", "cuda:-1", "cuda:x", "meta", "xpu", "mps",
    "cpu:7", "fc", "fc:depth=1,width=4", "fc:depth=", "fc:depth=1,depth=2", "fc:width=" + "9" * 400,
    "fc:depth=1,width=1e400", "fc:depth=1,width=" + str(10**20), "timm:", "timm:resnet0", "os:system", "os:",
    "nas_sens:search", "no.such:thing", "npz:", "npz:none.npz", "npz:\x00", "csv:https://example.org/a.csv", "csv:.",
    "folder:.", "folder:/nowhere", "hf:", "digits:x", "s3://", "s3://b/p", "gs://", "ftp://x/y", "s3://B C/", "ray",
    "sqlite:///nas_sens.db", "sqlite:///none/a.db", "sqlite://", "sqlite:nas.db", "sqlite:///.", "sqlite:///data.npz",
    "sqlite:///a\x00.db", "sqlite:///" + "x" * 300 + ".db", "sqlite:////proc/self/mem", "http://example.org",
    "redis://localhost", "journal:x", "postgres://u:p@h/d", "oracle://u:p@127.0.0.1/d", "mysql+foo://u:p@127.0.0.1/d",
    "mssql+pyodbc://u:p@127.0.0.1/d", "postgresql://u:pw@127.0.0.1:1/d", "postgresql://u:pw@127.0.0.1:99999/d",
    "mysql+pymysql://u:pw@127.0.0.1:1/d", "duckdb:///x", "a://b", "://", "sqlite+aiosqlite:///x.db",
)  # fmt: skip
STORAGES = tuple(v for v in ODD if ":" in v and not v.startswith(("fc", "npz", "csv", "timm")))
# What would go on for ever, start other processes, or ask a server far away, if it were right.
LEFT_OUT = {"dashboard": (), "workers": ("0", "-1", "x", "1.5", ""), "engine": ("", "locale", "\x00", "x" * 3000)}
SLOW = ("s3://b/p", "ray", "gs://")
QUICK = tuple(v for v in ODD if v not in SLOW)
NUMBERS = (
    *map(str, range(-1, 4)),
    "1e400",
    "-1e400",
    "nan",
    "inf",
    str(10**30),
    str(2**63),
    str(2**31),
    "0x1",
    "1_0",
    "9" * 5000,
)


@functools.cache
def prepared() -> Path:
    """Return a folder with a study that is searched, its declaration and its data."""
    folder = Path(tempfile.mkdtemp(prefix="nas_sens_fuzz_"))
    (folder / "study.toml").write_text(STUDY)
    (folder / "space.toml").write_text(tiny_study.SPACE)
    (folder / "folder").mkdir()
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=rng.random((60, 4)), y=np.arange(60) % 2)
    code, _, err = call(["search", "study.toml", "--report", os.devnull, "-q"], folder)
    (folder / "report.html").unlink(missing_ok=True)
    assert code == 0, err
    code, _, err = call(["export", "study", "-o", "exported"], folder)
    assert code == 0, err
    return folder


# A value that is right, by the name of a parameter; others are left out where nothing is wrong with them.
VALID = {
    "study": "study.toml", "model": "fc:depth=1,width=4", "what": "families", "source": "study", "name": "study",
    "device": "cpu", "report": "r.html", "output": "out", "artifacts": "nas_sens_artifacts",
    "data_name": "npz:data.npz", "data": "npz:data.npz", "metrics": "params,flops",
    "root": "data", "rules": "lowest,random", "budgets": "1",
    "outcome": "val_error", "licence": "mit", "storage": "sqlite:///nas_sens.db", "n_candidates": "2", "seed": "0",
    "top_k": "1", "control": "0", "n_inputs": "8", "seeds": "1", "repeats": "2", "pool_share": "1", "n": "1",
    "folder": "exported", "files": "data.npz", "finalists": "1", "epochs": "1", "start": "weights",
    "rank_": "1", "grace": "60", "max_trials_per_worker": "1", "seconds": "1", "form": "json", "init": "he_normal",
}  # fmt: skip


def _commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


COMMANDS = _commands()  # imported here: some libraries draw random numbers then, which no strategy may


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Return a strategy of arguments of the command line, of which one or two are wrong in most."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    command = COMMANDS[name]
    parameters = [p for p in command.params if p.nargs == 1 or p.name == "files"]
    wrong = draw(st.lists(st.sampled_from(parameters), min_size=0, max_size=2))
    arguments = [name]
    for parameter in parameters:
        key = str(parameter.name)
        if key == "storage" and name == "dashboard":  # which would serve what is there until it is stopped
            arguments.append("--storage=sqlite:///none/a.db")
            continue
        if isinstance(parameter, click.Argument):
            if parameter not in wrong:
                arguments += [VALID[key]] if parameter.required else []
            elif draw(st.integers(0, 3)):
                arguments.append(draw(_odd(parameter)))
            continue
        is_wanted = parameter.required or parameter in wrong or not draw(st.integers(0, 5))
        if not is_wanted or (key not in VALID and parameter not in wrong and not getattr(parameter, "is_flag", False)):
            continue
        flag = draw(st.sampled_from(parameter.opts))
        if getattr(parameter, "is_flag", False):
            arguments.append(flag)
            continue
        value = draw(_odd(parameter)) if parameter in wrong else VALID[key]
        joined = f"{flag}={value}" if flag.startswith("--") else flag + value
        arguments += [flag, value] if draw(st.booleans()) else [joined]
    if not draw(st.integers(0, 19)):
        arguments.insert(draw(st.integers(0, len(arguments))), draw(st.sampled_from(QUICK)))
    return arguments


def _odd(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Return a strategy of values that a parameter may or may not take."""
    if parameter.name in LEFT_OUT:
        return st.sampled_from(LEFT_OUT[parameter.name])
    if parameter.name == "storage":
        return st.sampled_from(STORAGES)
    kind: Any = parameter.type
    if isinstance(kind, click.Choice):
        return st.one_of(st.sampled_from(list(map(str, kind.choices))), st.sampled_from(QUICK))
    if isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)):
        return st.one_of(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS), st.sampled_from(QUICK))
    return st.sampled_from(QUICK)


def call(arguments: list[str], folder: Path) -> tuple[Any, str, str]:
    """Return exit code, stdout and stderr of a command that is run in a folder, in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with _in(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
            code: Any = "no exit"
        except SystemExit as exit_:
            code = 0 if exit_.code is None else exit_.code
        out.flush()
        err.flush()
    return code, *(stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))


@contextlib.contextmanager
def _in(folder: Path) -> Iterator[None]:
    before, storage = Path.cwd(), os.environ.pop("OPTUNA_STORAGE", None)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        if storage is not None:
            os.environ["OPTUNA_STORAGE"] = storage


def listing(folder: Path) -> dict[str, int]:
    """Return every file with its size; folders with -1."""
    return {str(p.relative_to(folder)): p.stat().st_size if p.is_file() else -1 for p in folder.rglob("*")}


def run(arguments: list[str], start: Path | None = None) -> str | None:
    """Return what is wrong with what becomes of a command line in a copy of a folder; None if nothing is."""
    with tempfile.TemporaryDirectory(prefix="nas_sens_fuzz_") as name:
        folder = Path(name) / "a"
        shutil.copytree(start or prepared(), folder)
        before = listing(folder)
        try:
            with deadline(DEADLINE):
                code, _, err = call(arguments, folder)
        except Hang:
            return f"hang of {arguments[:1]}"
        except BaseException as error:
            return name_of(error)
        changed = {p for p, size in listing(folder).items() if before.get(p) != size} | (
            before.keys() - listing(folder)
        )
        if arguments[:1] == ["doctor"] and code == 1 and not err:  # it found something, and says so on stdout
            return None
        return fault_of_result(code, err, changed)


def fault_of_result(code: Any, err: str, changed: set[str]) -> str | None:
    """Return what is wrong with an exit code and what stands on stderr; None if nothing is."""
    if code == 0:
        return None
    if code not in (1, 2):
        return f"exit code {code!r}"
    lines = [line for line in err.splitlines() if line.lower().startswith(("nas-sens: error:", "error:"))]
    if "Traceback (most recent" in err:
        return "a traceback"
    if len(lines) != 1:
        return f"{len(lines)} lines of error, exit code {code}"
    if err.rstrip("\n").splitlines()[-1] != lines[0]:
        return "more lines behind the error"
    if fault := fault_of_message(err.rstrip("\n").splitlines()[-1]):
        return fault
    if code == 2 and changed:
        return f"exit code 2, but written: {sorted(changed)[0].rpartition('/')[2][:40]}"
    if code == 1 and ("nas-sens --debug" in lines[0] or "fault of nas_sens" in lines[0]):
        kinds = re.findall(r"[A-Za-z]*(?:Error|Exception|Interrupt|Warning)\b", lines[0].partition("error: ")[2])
        return f"our bug: {(kinds or ['?'])[0]}"
    return None
