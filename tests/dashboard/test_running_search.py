"""The dashboard beside a search that runs: trainings are seen while they run, and the best trial is a trained one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.browser import CHROMIUM, browse

ENVIRONMENT = {**os.environ, "OPTUNA_STORAGE": "", "OMP_NUM_THREADS": "1"}
STUDY = """
name = "running"
[search_space.fc]
depth = { type = "int", low = 1, high = 3 }
width = { type = "int", low = 8, high = 400 }
init = "he_normal"
[data]
name = "digits"
[search]
n_candidates = 30
[select]
rule = "random"
top_k = 60
control = 2
[train]
epochs = 400
seeds = 1
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt-get install chromium)"),
]


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    full = [sys.executable, "-m", "nas_sens", *arguments, "--storage", "sqlite:///a.db"]
    return subprocess.Popen(
        full, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The address of the dashboard beside a search of two workers, which is interrupted afterwards."""
    (tmp_path / "running.toml").write_text(STUDY)
    search = command(tmp_path, "search", "running.toml", "--workers", "2", "--device", "cpu")
    wait_for(lambda: (tmp_path / "a.db").exists())
    dashboard = command(tmp_path, "dashboard", "--port", "0")
    assert dashboard.stdout is not None
    yield dashboard.stdout.readline().partition("/dashboard/")[0]
    search.send_signal(signal.SIGINT)
    _, err = search.communicate(timeout=120)
    assert search.returncode == 130, err
    dashboard.terminate()
    dashboard.communicate(timeout=60)


def wait_for(what: Callable[[], Any], seconds: float = 240.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.3)
    return found


def trials(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}/api/studies/1?after=0", timeout=60) as answer:
        return list(json.load(answer)["trials"])


def in_state(address: str, state: str) -> list[dict[str, Any]]:
    return [t for t in trials(address) if t["state"] == state]


def test_what_runs_is_seen_while_it_runs(address: str, tmp_path: Path) -> None:
    def is_under_way() -> bool:
        running = in_state(address, "Running")
        return (
            len(running) == 2 and all(t["intermediate_values"] for t in running) and bool(in_state(address, "Complete"))
        )

    wait_for(is_under_way)
    curve = in_state(address, "Running")[0]
    number, length = curve["number"], len(curve["intermediate_values"])
    wait_for(lambda: any(t["number"] == number and len(t["intermediate_values"]) > length for t in trials(address)))
    wait_for(is_under_way)
    page = browse(f"{address}/dashboard/studies/1", tmp_path)
    assert re.search(r"trial #\d+ \(running\)", page), "a curve of a running training"
    assert "val_error" in page
    timeline = page[page.index("Timeline") :]
    assert "Running" in timeline
    assert "Complete" in timeline
    best = int(re.search(r"Best Trial \(number=(\d+)\)", page)[1])  # type: ignore[index]
    found = {t["number"]: t for t in trials(address)}
    assert any(a["key"] == "candidate" for a in found[best]["user_attrs"]), "a training, not a scored candidate"
    assert found[best]["state"] == "Complete"
    values = [t["values"][0] for t in found.values() if t["state"] == "Complete"]
    assert sum(v < found[best]["values"][0] for v in values) <= 2, (
        "what was better had not ended when the page was drawn"
    )
    shot = Path(os.environ.get("NAS_SENS_SCREENSHOTS", tmp_path)) / "running.png"
    browse(f"{address}/dashboard/studies/1", tmp_path, f"--screenshot={shot}")
    assert shot.stat().st_size > 10_000
