"""Every benchmark still works, which a quick run of seconds shows, and leaves committed results alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*.py") if 'if __name__ == "__main__":' in p.read_text(encoding="utf-8"))
RECORD = {"python", "torch", "numpy", "platform", "cpu", "cores", "device", "threads", "revision", "date"}


def run(script: str, folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FOLDER / f"{script}.py"), *map(str, options)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPTUNA_STORAGE": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from numbers(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def check(result: dict[str, Any]) -> None:
    assert set(result["environment"]) >= RECORD
    assert result["quick"] is True
    assert not result.get("failed"), "a part failed"
    assert list(numbers({k: v for k, v in result.items() if k not in ("environment", "seed", "quick")}))


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """Options by script: files made up in place of those from elsewhere."""
    folder, rng = tmp_path_factory.mktemp("elsewhere"), np.random.default_rng(0)
    images, cells = folder / "images.npz", folder / "cells.csv"
    parts = {f"x_{part}": rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8) for part in ("train", "test")}
    np.savez(images, **parts, y_train=np.arange(100) % 10, y_test=np.arange(100) % 10)
    rows = (FOLDER / "results" / "nasbench201_dev_scores.csv").read_text(encoding="utf-8").splitlines()[1:61]
    accuracies = [f"{row.split(',')[0]},{rng.uniform(10, 95):.2f}\n" for row in rows]
    cells.write_text("arch,cifar10_test_accuracy_percent\n" + "".join(accuracies), encoding="utf-8")
    lists = {"transnas": [f"{i:06d}" for i in (0, 333333, 123012, 10203)], "macro": ["00000000", "12012012"]}
    for name, names in lists.items():
        (folder / f"{name}.csv").write_text("\n".join(["arch", *names, ""]), encoding="utf-8")
    more = [option for name in lists for option in (f"--{name}", folder / f"{name}.csv")]
    return {
        "cell_scores": ["--data", images, "--nasbench201", cells, *more],
        "gpu": ["--device", "cpu"],
        "nasbench201_all_cells": ["--data", images, "--cells", cells],
        "nasbench201_scores": ["--data", images, "--cells", cells],
        "sensitivity_kernel": ["--data", images, "--cells", cells],
        "table1": ["--data", f"npz:{images}", "--images", 40],
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_quick_run_prints_its_result_and_leaves_no_file(
    script: str, stand_ins: dict[str, list[object]], tmp_path: Path
) -> None:
    committed = {p: p.read_bytes() for p in (FOLDER / "results").iterdir()}
    done = run(script, tmp_path, "--quick")
    if done.returncode == 2:
        assert re.fullmatch(rf"{script}\.py: needs --\w+ \(.*\n", done.stderr)
        if script not in stand_ins:
            pytest.skip("needs a file from elsewhere, for which there is no stand-in")
        done = run(script, tmp_path, "--quick", *stand_ins[script])
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
    assert {p: p.read_bytes() for p in (FOLDER / "results").iterdir()} == committed
    assert not list(tmp_path.iterdir())


def test_table_1_takes_pictures_that_stay_bytes_until_they_are_used(
    stand_ins: dict[str, list[object]], tmp_path: Path
) -> None:
    done = run("table1", tmp_path, "--quick", *stand_ins["table1"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_networks"] == 4


def test_a_quick_run_writes_where_it_is_told(tmp_path: Path) -> None:
    done = run("scoring_cost", tmp_path, "--quick", "--output", "found.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "found.json").read_text(encoding="utf-8")
    assert text == done.stdout
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))
    check(json.loads(text))


def test_what_a_gpu_is_measured_by_is_not_measured_without_one(tmp_path: Path) -> None:
    for options in (["--device", "cuda:99"], ["--device", "cpu"], ["--device", "mps"]):
        done = run("gpu", tmp_path, *options)
        assert done.returncode == 2
        assert re.fullmatch(r"gpu\.py: .*--device.*\n", done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["published_points", "table1", "trained_tables"])
def test_a_data_set_that_is_not_there_is_said_in_one_line(script: str, tmp_path: Path) -> None:
    done = run(script, tmp_path, "--output", "found.json")  # in a folder without data
    assert done.returncode == 2
    assert re.fullmatch(rf"{script}\.py: data '\w+' is not in the folder 'data'.*\n", done.stderr)
    assert not done.stdout


@pytest.mark.parametrize("option", [("--output", "found.csv"), ("--rounds", "many"), ("--unknown",)])
def test_a_wrong_option_is_said_in_one_line(option: tuple[str, ...], tmp_path: Path) -> None:
    done = run("scoring_cost", tmp_path, *option)
    assert done.returncode == 2
    assert re.fullmatch(r"scoring_cost\.py: .*\n", done.stderr)
