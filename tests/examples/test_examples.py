"""The scripts of four users, as they stand in ``examples/``: scored, trained, killed, resumed, reported, exported."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nas_sens as ns

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = {  # folder to its module, its target, and what its exported network gives for inputs
    "conv1d": ("my_nas", "val_f1", "torch.randn(5, 8, 8)", (5, 10)),
    "tokens": ("my_tokens", "val_accuracy", "torch.randint(0, 128, (5, 64))", (5, 4)),
    "segmentation": ("my_unet", "val_iou", "torch.randn(5, 1, 24, 24)", (5, 3, 24, 24)),
}


def copied(folder: str, tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.db*", "__pycache__"))
    return tmp_path / folder


@pytest.mark.parametrize("folder", ["conv1d", "tokens", pytest.param("segmentation", marks=pytest.mark.slow)])
def test_an_example_is_searched(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, target, _, _ = OWN[folder]
    where = copied(folder, tmp_path)
    monkeypatch.chdir(where)
    result = ns.search("study.toml", n_candidates=4, top_k=1, storage="sqlite:///a.db", name="few")
    figures = [t.figures[target] for t in result.trials]
    assert len(figures) == 4  # one selected, and of the control group those that there are
    assert figures == sorted(figures, reverse=True)
    assert all(0 < f <= 1 for f in figures)
    assert any(t.log10_sensitivity_before != result.best.log10_sensitivity_before for t in result.trials)


def run(where: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ranked(where: Path, name: str, database: str) -> list[dict[str, object]]:
    table = run(where, "-m", "nas_sens", "rank", name, "--format", "json", "--storage", f"sqlite:///{database}.db")
    return [{k: v for k, v in row.items() if k not in ("seconds", "number", "candidate")} for row in json.loads(table)]


def killed(where: Path, command: list[str], query: str, database: str) -> None:
    """Kill a process in the middle of a training, which a query of its database tells."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=where, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with sqlite3.connect(f"file:{where / database}?mode=ro", uri=True) as connection:
                if connection.execute(query).fetchone()[0]:
                    break
        except sqlite3.OperationalError:  # it is not there yet
            pass
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


IN_TRAINING = "select count(*) from trials where state = 'COMPLETE'"


@pytest.mark.slow
@pytest.mark.parametrize("folder", OWN)
def test_an_example_runs_from_end_to_end_though_it_is_killed(folder: str, tmp_path: Path) -> None:
    module, target, inputs, shape = OWN[folder]
    where = copied(folder, tmp_path)
    search = ["-m", "nas_sens", "search", "study.toml", "--storage"]
    killed(where, [*search, "sqlite:///a.db"], IN_TRAINING, "a.db")
    for database in ("a", "b"):
        run(where, *search, f"sqlite:///{database}.db")
    rows = ranked(where, folder, "a")
    assert rows == ranked(where, folder, "b")
    assert rows[0][target] == max(row[target] for row in rows) > 0.4
    assert target in (where / f"{folder}_report.html").read_text()
    run(where, "-m", "nas_sens", "export", folder, "--rank", "1", "-o", "net", "--storage", "sqlite:///a.db")
    (where / f"{module}.py").unlink()  # the exported program needs neither it nor nas_sens
    code = (
        f"import sys, torch; model = torch.export.load('net/model.pt2').module(); y = model({inputs}); "
        "y = y['out'] if isinstance(y, dict) else y; print(tuple(y.shape)); assert 'nas_sens' not in sys.modules"
    )
    assert run(where, "-c", code).strip() == str(shape)


@pytest.mark.slow
def test_an_objective_of_optunas_is_pruned_reported_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    where = copied("optuna", tmp_path)
    killed(where, ["objective.py"], "select count(*) > 8 from trials where state = 'COMPLETE'", "digits.db")
    run(where, "objective.py")
    with sqlite3.connect(where / "digits.db") as connection:
        states = dict(connection.execute("select state, count(*) from trials group by state"))
        early = connection.execute(
            "select count(*) from trials t where state = 'PRUNED' and not exists "
            "(select 1 from trial_intermediate_values v where v.trial_id = t.trial_id)"
        ).fetchone()[0]
    assert states["COMPLETE"] > 8
    assert early >= 3  # before the first report
    assert sum(states.values()) == 40
    storage = ["--storage", "sqlite:///digits.db"]
    run(where, "-m", "nas_sens", "report", "--optuna", "digits", *storage)
    assert "Spearman" in (where / "digits_report.html").read_text()
    assert json.loads(run(where, "-m", "nas_sens", "rank", "--optuna", "digits", "--format", "json", *storage))


@pytest.mark.parametrize(
    ("path", "most"), [(f"{f}/{m[0]}.py", 10) for f, m in OWN.items()] + [("optuna/objective.py", 2)]
)
def test_few_lines_of_a_users_file_are_for_nas_sens(path: str, most: int) -> None:
    code = re.sub(r'^""".*?"""', "", (EXAMPLES / path).read_text(), flags=re.DOTALL)
    ours = [line for line in code.splitlines() if re.search(r"\bns\.|\bjob\b|nas_sens\.", line)]
    imports = [line for line in ours if line.startswith("import")]
    assert 0 < len(ours) - len(imports) <= most
    assert not os.path.isabs(path)
