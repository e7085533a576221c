"""Searches by several workers, as real processes: what tests of failures start, look at, and check in the end."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

import nas_sens as ns
from nas_sens.storage.study_storage import StudyStorage

ROOT = Path(__file__).parents[2]
NAME = "failures"
STUDY = """
name = "failures"
[search_space.fc]
depth = 1
width = {{ type = "int", low = 8, high = 40 }}
[data]
name = "digits"
train_samples = 200
[score]
n_inputs = 16
[search]
n_candidates = 6
[select]
rule = "lowest"
top_k = 3
control = 1
[train]
epochs = {epochs}
seeds = 1
checkpoint_seconds = 0.2
"""
N_TRAININGS = 4
LONG = 1500  # epochs of a training that can be caught in the middle


def declared(folder: Path, *, epochs: int = LONG) -> Path:
    """Write the study's file, and return it."""
    (file := folder / f"{NAME}.toml").write_text(STUDY.format(epochs=epochs))
    return file


def search_alone(folder: Path, **how: Any) -> dict[str, float]:
    """Return what one process comes to that nobody disturbs: digest to validation loss."""
    result = ns.search(declared(folder, **how), storage=f"sqlite:///{folder}/alone.db", device="cpu")
    return {t.digest: t.val_loss for t in result.trials}


class Search:
    """The command ``search`` in a folder.

    Args:
        folder: Where it runs.
        arguments: Further ones.
        grace: After how many seconds a worker is given up that gives no sign of life.
        workers: How many; None for this process alone.
        environment: Variables beside those of this process.
    """

    def __init__(
        self, folder: Path, *arguments: str, grace: float = 5, workers: int | None = 2, **environment: str
    ) -> None:
        self.folder = folder
        self._err = folder / f"{time.monotonic_ns()}.err"
        command = [sys.executable, "-m", "nas_sens", "search", f"{NAME}.toml", "--device", "cpu", "--grace", str(grace)]
        command += ["--format", "json", "-o", "report.html", *([] if workers is None else ["--workers", str(workers)])]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "OPTUNA_STORAGE": "", "OMP_NUM_THREADS": "1", **environment}
        with self._err.open("w") as err:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=folder, env=variables, stdout=subprocess.DEVNULL, stderr=err, text=True
            )

    @property
    def err(self) -> str:
        """What was told so far."""
        return self._err.read_text()

    def end(self, code: int = 0, seconds: float = 400) -> str:
        """Wait for the end with an exit code, and return what was told."""
        assert self.process.wait(seconds) == code, self.err
        return self.err

    def until(self, what: Callable[[], Any], seconds: float = 240) -> Any:
        """Return what is true at last, while the search runs."""

        def found() -> Any:
            is_over = self.process.poll() is not None
            value = what()
            assert value or not is_over, self.err
            return value

        return wait_for(found, seconds)

    def workers(self) -> dict[int, int]:
        """Return the processes of the local workers that live, by number."""
        found: dict[int, int] = {}
        for log in Path("/proc").glob("[0-9]*/fd/1"):  # each writes into a log of its own
            with contextlib.suppress(OSError):
                pid, target = int(log.parts[2]), str(log.readlink())
                name = re.search(r"nas_sens_workers_\w+/worker-(\d+)\.log", target)
                if name and _parent(pid) == self.process.pid:
                    found[int(name[1])] = pid
        return found

    def pid_of(self, trial: FrozenTrial) -> int:
        """Return the process that trains in a trial."""
        return self.workers()[int(trial.user_attrs["worker"].rpartition("-")[2])]


@contextlib.contextmanager
def searching(folder: Path, *arguments: str, **how: Any) -> Iterator[Search]:
    """Run a search inside the ``with`` block; it is killed at the end if it still runs."""
    search = Search(folder, *arguments, **how)
    try:
        yield search
    finally:
        if search.process.poll() is None:
            search.process.kill()
        search.process.wait()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_for(what: Callable[[], Any], seconds: float = 240) -> Any:
    """Return what is true at last."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError("it did not come to this")
        time.sleep(0.05)
    return found


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/nas_sens.db"


def trainings(folder: Path) -> list[FrozenTrial]:
    """Return the trials that are trainings."""
    if not (folder / "nas_sens.db").exists():
        return []
    with contextlib.suppress(Exception):  # it is being made
        trials = optuna.load_study(study_name=NAME, storage=url(folder)).trials
        return [t for t in trials if "candidate" in t.user_attrs]
    return []


def in_the_middle(folder: Path, *, digest: str | None = None, worker: str | None = None) -> FrozenTrial | None:
    """Return a training that runs, some of whose epochs are done and kept; None if there is none."""
    if not any((folder / "nas_sens_artifacts").rglob("*.pt")):
        return None
    for trial in trainings(folder):
        is_it = digest in (None, trial.user_attrs["digest"]) and worker in (None, trial.user_attrs.get("worker"))
        if is_it and trial.state == TrialState.RUNNING and len(trial.intermediate_values) > 3:
            return trial
    return None


def is_locked(folder: Path) -> bool:
    """Return whether somebody writes into the database at this moment."""
    connection = sqlite3.connect(folder / "nas_sens.db", timeout=0.2)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


def went_on_after(folder: Path, trial: FrozenTrial) -> int:
    """Return after how many epochs a training went on from a checkpoint; 0 if it did not."""
    found = re.search(r"went on from a checkpoint after epoch (\d+)", training_log(folder, trial))
    return 0 if found is None else int(found[1])


def training_log(folder: Path, trial: FrozenTrial) -> str:
    path = folder / f"training-{trial.number}.log"
    StudyStorage(url(folder)).fetch_artifact(NAME, trial.number, "training.log", path)
    return path.read_text()


def worker_logs(folder: Path) -> dict[str, str]:
    """Return the logs of workers that are kept among the artifacts of the study, by file name."""
    study = optuna.load_study(study_name=NAME, storage=url(folder))
    found = get_all_artifact_meta(study, storage=study._storage)
    (place,) = {p.parent for p in folder.rglob(found[0].artifact_id)}
    return {m.filename: (place / m.artifact_id).read_text() for m in found if m.filename.startswith("worker-")}


def check_whole(folder: Path, expected: dict[str, float], *, n_lost: int = 0, lost: Sequence[FrozenTrial] = ()) -> None:
    """Check that what one process alone finds is there, each training once, and nothing else.

    Args:
        folder: Where the database is.
        expected: Digest to validation loss.
        n_lost: Number of trials whose workers were lost.
        lost: Some of these.
    """
    found = trainings(folder)
    assert all(t.state.is_finished() for t in found), [t.state for t in found]
    done = [t for t in found if t.state == TrialState.COMPLETE]
    assert Counter(t.user_attrs["digest"] for t in done).most_common(1)[0][1] == 1, "a training is stored twice"
    assert {t.user_attrs["digest"]: t.user_attrs["val_loss"] for t in done} == expected, "as if nothing had happened"
    failed = [t for t in found if t.state != TrialState.COMPLETE]
    assert len(failed) == n_lost
    assert {t.number for t in lost} <= {t.number for t in failed}
    by_digest = {t.user_attrs["digest"]: t for t in done}
    for trial in failed:
        assert trial.state == TrialState.FAIL
        assert "status" not in trial.user_attrs
        assert trial.values is None
        again = by_digest[trial.user_attrs["digest"]]
        assert again.number > trial.number
        assert trial.number in again.system_attrs["retry_history"]
