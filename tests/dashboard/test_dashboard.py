"""The dashboard: what it is given to show, and as a browser shows it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note, save_note

import nas_sens as ns
from nas_sens.dashboard.notes import annotate
from nas_sens.dashboard.saved_notes import NOTE_MARK
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import tiny, url

ENVIRONMENT = {**os.environ, "OPTUNA_STORAGE": ""}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
--disable-component-update --disable-sync --virtual-time-budget=8000 --window-size=1300,1600"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[ns.SearchResult, str]:
    storage = url(tmp_path_factory.mktemp("dashboard"))
    return ns.search(tiny(), storage=storage), storage


def study_in(storage: str) -> optuna.Study:
    return optuna.load_study(study_name="tiny", storage=storage)


def system(storage: str) -> dict[str, object]:
    study = study_in(storage)
    return dict(study._storage.get_study_system_attrs(study._study_id))


def test_the_study_and_the_winners_are_described(searched: tuple[ns.SearchResult, str]) -> None:
    result, storage = searched
    note = get_note(study_in(storage))
    for text in ("hypothesis", "noise_std = 0.1", "search space: tiny", "nas-sens export tiny --rank 1", NOTE_MARK):
        assert text in note
    assert "state PRUNED, as they are not trained: 8 here" in note
    assert "3 finished here" in note
    attributes = system(storage)
    trials = study_in(storage).trials
    for rank, winner in enumerate(result.trials, 1):
        note = attributes[f"dashboard:{trials[winner.number or 0]._trial_id}:note_str:0"]
        assert f"Rank {rank} of `tiny`" in str(note)
        assert f"{winner.val_loss:.4g}" in str(note)
    plot = "".join(str(v) for k, v in sorted(attributes.items()) if k.startswith("dashboard:plot_data:"))
    assert "log10 S before training" in plot


def test_describing_again_writes_nothing_and_own_notes_are_kept(tmp_path: Path) -> None:
    ns.search(tiny(train=ns.TrainSpec(epochs=1, seeds=1)), storage=url(tmp_path))
    before = system(url(tmp_path))
    annotate(StudyStorage(url(tmp_path)), "tiny")
    assert system(url(tmp_path)) == before
    save_note(study_in(url(tmp_path)), "mine")
    annotate(StudyStorage(url(tmp_path)), "tiny")
    assert get_note(study_in(url(tmp_path))) == "mine"


def test_a_failure_to_describe_does_not_lose_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nas_sens.pipeline.session.annotate", fail)
    assert len(ns.search(tiny(train=ns.TrainSpec(epochs=1, seeds=1)), storage=url(tmp_path)).trials) == 3


def start(storage: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nas_sens", "dashboard", "--storage", storage, *arguments]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_stops_cleanly(searched: tuple[ns.SearchResult, str], number: signal.Signals) -> None:
    process = start(searched[1], "--port", "0")
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    assert urllib.request.urlopen(address, timeout=30).status == 200
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_a_taken_port_is_wrong_input(searched: tuple[ns.SearchResult, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = start(searched[1], "--port", str(other.getsockname()[1]))
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)
    assert "taken" in err
    assert "--port" in err


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium (apt-get install chromium)")
def test_a_browser_shows_notes_plot_and_artifacts(searched: tuple[ns.SearchResult, str], tmp_path: Path) -> None:
    def browse(address: str, *flags: str) -> str:
        profile = tempfile.mkdtemp(dir=tmp_path)
        command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", *(flags or ["--dump-dom"]), address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    process = start(searched[1], "--port", "0")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rstrip("/")
        assert "tiny" in browse(address)
        study = f"{address}/studies/{study_in(searched[1])._study_id}"
        page = browse(f"{study}/note")
        for text in ("Scored candidates", "Trainings", "hypothesis", "Protocol"):
            assert text in page
        assert "val_error" in browse(study)
        assert "log10 S before training" in browse(f"{study}/graph") or "log10 S before training" in browse(study)
        number = searched[0].best.number
        trial = browse(f"{study}/trials?numbers={number}")
        for text in ("model.safetensors", "config.json", "Rank 1 of"):
            assert text in trial
        shot = Path(os.environ.get("NAS_SENS_SCREENSHOTS", tmp_path)) / "dashboard.png"
        browse(study, f"--screenshot={shot}")
        assert shot.stat().st_size > 10_000
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0
