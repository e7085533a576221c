"""A study of seconds that several processes search at once, as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import optuna

from nas_sens.storage.drivers import with_driver
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import url

ENVIRONMENT = {**os.environ, "OPTUNA_STORAGE": ""}
STUDY = """
name = "knocks"
search_space = "space.toml"
[data]
name = "digits"
train_samples = 300
[score]
estimator = "monte_carlo"
n_inputs = 64
seeds = 2
[search]
n_candidates = 48
[select]
top_k = 5
control = 3
[train]
epochs = 30
seeds = 2
"""
SPACE = """
[fc]
depth = { type = "int", low = 1, high = 4 }
width = { type = "int", low = 8, high = 160 }
init = "he_normal"
[constraints]
params = { min = 2_000 }
"""


def start(folder: Path, storage: str, *options: str) -> subprocess.Popen[str]:
    (folder / "knocks.toml").write_text(STUDY)
    (folder / "space.toml").write_text(SPACE)
    command = [sys.executable, "-m", "nas_sens", "search", "knocks.toml", "--storage", storage, "--format", "json"]
    command += ["-o", f"{time.monotonic_ns()}.html", "--artifacts", str(folder / "artifacts"), *options]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out, err


def comparable_rows(out: str) -> list[dict[str, object]]:
    without = ("number", "candidate", "seconds")  # say when and by whom, not what
    return [{k: v for k, v in row.items() if k not in without} for row in json.loads(out)]


def check_unique(storage: str) -> None:
    assert optuna.get_all_study_names(storage) == ["knocks"]
    trials = optuna.load_study(study_name="knocks", storage=with_driver(storage)).trials
    assert all(t.state.is_finished() for t in trials)
    # Trials whose worker was lost have no status.
    kinds = [("candidate" in t.user_attrs, t.user_attrs["digest"]) for t in trials if "status" in t.user_attrs]
    assert len(kinds) == len(set(kinds)), "stored twice"
    assert sum(is_training for is_training, _ in kinds) == 8


class Undisturbed(NamedTuple):
    """What one process alone finds: rows of the table, digests of the candidates, and how long it took."""

    rows: list[dict[str, object]]
    digests: set[str]
    seconds: float


def search_undisturbed(folder: Path) -> Undisturbed:
    began = time.monotonic()
    out, _ = finish(start(folder, url(folder)))
    seconds = time.monotonic() - began
    return Undisturbed(comparable_rows(out), {c.digest for c in StudyStorage(url(folder)).scored("knocks")}, seconds)


def cooperate(folder: Path, storage: str, expected: Undisturbed, *, n_processes: int = 4) -> str:
    """Search in several processes at once, check that they find what one alone does, and return what they print."""
    processes = [start(folder, storage) for _ in range(n_processes)]
    results = [finish(p) for p in processes]
    for out, err in results:
        assert comparable_rows(out) == expected.rows
        assert "nas-sens: error" not in err
    assert any("other processes" in err for _, err in results)
    assert {c.digest for c in StudyStorage(storage).scored("knocks")} == expected.digests
    check_unique(storage)
    return "".join(out + err for out, err in results)
