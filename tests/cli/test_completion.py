"""What a shell completes, asked as a shell asks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas_sens.architectures import FAMILIES
from nas_sens.cli.completion import data_set_names, family_names, metric_names
from nas_sens.data import DATASETS
from nas_sens.metrics import METRICS


def complete(folder: Path, words: str, **environment: str) -> list[str]:
    """Return what bash is told to offer for the last of some words, which may be empty."""
    given = {"_NAS_SENS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    run = subprocess.run(
        [sys.executable, "-c", "from nas_sens.cli.main import cli; cli(prog_name='nas-sens')"],
        cwd=folder,
        env={**os.environ, "OPTUNA_STORAGE": "", **given, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stderr == ""
    return [line.partition(",")[2] for line in run.stdout.splitlines() if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import optuna

    folder = tmp_path_factory.mktemp("completion")
    url = f"sqlite:///{folder / 'nas_sens.db'}"
    for name, is_ours in (("alpha", True), ("beta", True), ("own", False)):
        study = optuna.create_study(storage=url, study_name=name)
        if is_ours:
            study.set_user_attr("space_digest", "0")
    (folder / "quirky.toml").touch()
    (folder / "broken.db").write_text("no database")
    return folder


CASES = [
    ("nas-sens rank ", ["beta", "alpha"]),
    ("nas-sens rank a", ["alpha"]),
    ("nas-sens rank --optuna ", ["own"]),
    ("nas-sens status --storage sqlite:///none.db ", []),
    ("nas-sens status --storage sqlite:///broken.db ", []),
    ("nas-sens status --storage nonsense ", []),
    ("nas-sens export --storage postgresql://nobody@127.0.0.1:1/x ", []),
    ("nas-sens search qu", ["quickstart", "quirky.toml"]),
    ("nas-sens measure fc:depth=2 --data di", ["diabetes", "digits"]),
    ("nas-sens measure mb", ["mbconv:"]),
    ("nas-sens measure fc: --metrics naswot,zi", ["naswot,zico"]),
    ("nas-sens replay x --rules random,pa", ["random,pareto", "random,params"]),
    ("nas-sens init --search-space fc_", ["fc_small", "fc_vs_cnn"]),
    ("nas-sens help nas", ["naswot"]),
]


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_a_shell_completes(folder: Path, words: str, expected: list[str]) -> None:
    before = sorted(p.name for p in folder.iterdir())
    assert complete(folder, words) == expected
    assert sorted(p.name for p in folder.iterdir()) == before


def test_the_environment_names_the_database_and_it_is_quick(folder: Path) -> None:
    start = time.perf_counter()
    assert complete(folder / "..", "nas-sens rank b", OPTUNA_STORAGE=f"sqlite:///{folder / 'nas_sens.db'}") == ["beta"]
    assert time.perf_counter() - start < 10  # 0.9 s where nothing else runs; PyTorch alone would take longer


def test_names_that_are_found_without_importing_are_those_that_importing_finds() -> None:
    assert metric_names() == list(METRICS.table())
    assert family_names() == [n for n, f in FAMILIES.table().items() if f.__module__.startswith("nas_sens.")]
    assert [n.rstrip(":") for n in data_set_names()] == list(DATASETS.table())
    assert [n.endswith(":") for n in data_set_names()] == [d.argument is not None for d in DATASETS.table().values()]
