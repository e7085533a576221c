"""What may happen to a search: killed, interrupted, shared by processes, no disk, no memory, no rights."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.core.interrupts import finish_first
from nas_sens.core.progress import SilentProgress
from nas_sens.core.secrets import redact
from nas_sens.pipeline import training_job
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.train_stage import train_selected
from nas_sens.pipeline.training_queue import Filled, TrainingQueue
from nas_sens.results.search_result import read_result
from nas_sens.scoring import assess
from nas_sens.storage.leases import Leases
from nas_sens.storage.study_storage import StudyStorage
from tests.shared_study import (
    ENVIRONMENT,
    Undisturbed,
    check_unique,
    comparable_rows,
    cooperate,
    finish,
    start,
)
from tests.stored_candidates import trainings_in
from tests.tiny_study import comparable, tiny, url


@pytest.mark.slow
def test_ten_kills_change_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    expected, digests, seconds = undisturbed
    rng = random.Random(0)
    for i in range(10):
        process = start(tmp_path, url(tmp_path), "--grace", "3")
        time.sleep(rng.uniform(0.2, 0.9) * seconds * (0.5 if i % 2 else 1.0))
        process.kill()
        process.communicate()
    out, _ = finish(start(tmp_path, url(tmp_path), "--grace", "3"))
    assert comparable_rows(out) == expected
    assert {c.digest for c in StudyStorage(url(tmp_path)).scored("knocks")} == digests
    check_unique(url(tmp_path))


@pytest.mark.slow
def test_four_processes_share_one_sqlite_file(undisturbed: Undisturbed, tmp_path: Path) -> None:
    cooperate(tmp_path, url(tmp_path), undisturbed)


def test_the_training_of_a_killed_process_is_done_again_after_the_grace_time(tmp_path: Path) -> None:
    whole = ns.search(tiny(), storage=url(tmp_path, "whole"))
    settings = Settings(grace_seconds=3.0, poll_seconds=0.1)
    session = open_study(tiny(), storage=url(tmp_path), settings=settings)
    score_candidates(session)
    assert TrainingQueue(session, session.storage.scored("tiny")).fill() == Filled.MORE
    code = """
import sys, time
from nas_sens.storage.study_storage import StudyStorage
storage = StudyStorage(sys.argv[1], worker="killed", grace_seconds=3.0)
assert storage.take("tiny") is not None
assert storage.leases.take("tiny", "plan")
print("ready", flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code, url(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(4)  # longer than the grace time: it lives, and shows it
        session.storage.fail_stale("tiny")
        assert [t.state.name for t in trainings_in(url(tmp_path), "tiny")] == ["RUNNING", "WAITING", "WAITING"]
    finally:
        process.kill()
        process.communicate()
    assert train_selected(session)
    result = read_result(StudyStorage(url(tmp_path)), "tiny")
    assert comparable(result) == comparable(whole)
    trials = trainings_in(url(tmp_path), "tiny")
    assert [t.state.name for t in trials] == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert trials[0].user_attrs["worker"] == "killed"
    assert trials[3].system_attrs["retry_history"] == [trials[0].number]


def test_ctrl_c_lets_a_write_finish_and_a_second_one_does_not() -> None:
    done = []

    def work(n_signals: int) -> None:
        with finish_first():
            for _ in range(n_signals):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            done.append(n_signals)
        done.append("after")

    for n in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            work(n)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class WhenTold(SilentProgress):
    """Progress that does something once, when a message is told that has a text."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.then: dict[str, Callable[[], object]] = {}

    def message(self, text: str) -> None:
        self.told.append(text)
        for part in [p for p in self.then if p in text]:
            self.then.pop(part)()


def test_a_process_that_finds_the_work_taken_waits_for_it(tmp_path: Path) -> None:
    whole = ns.search(tiny(), storage=url(tmp_path, "whole"))
    progress = WhenTold()
    session = open_study(tiny(), storage=url(tmp_path), settings=Settings(poll_seconds=0.01), progress=progress)
    other = StudyStorage(url(tmp_path))
    assert other.leases.take("tiny", "scores 1:0")
    progress.then["waiting for 1 candidates of other processes"] = lambda: other.leases.release("tiny", "scores 1:0")
    score_candidates(session)
    assert not progress.then, "it has not waited"
    assert TrainingQueue(session, session.storage.scored("tiny")).fill() == Filled.MORE
    job = other.take("tiny")
    assert job is not None
    progress.then["waiting for 1 trainings of other processes"] = lambda: other.put_back(job)
    train_selected(session)
    assert not progress.then, "it has not waited"
    waits = [text for text in progress.told if "waiting for 1" in text]
    assert len(waits) == 2, "what is waited for is told once"
    result = read_result(session.storage, "tiny")
    assert {c.digest for c in result.candidates} == {c.digest for c in whole.candidates}
    assert [t.digest for t in result.trials] == [t.digest for t in whole.trials]


def test_two_searches_at_once_never_plan_at_once(tmp_path: Path) -> None:
    session = open_study(tiny(), storage=url(tmp_path))
    score_candidates(session)
    queue = TrainingQueue(session, session.storage.scored("tiny"))
    other = Leases(session.storage.rdb.engine)
    with other.claimed("tiny", "plan") as is_others:
        assert is_others
        assert queue.fill() == Filled.WAIT
    assert session.storage.trainings("tiny").underway == []
    assert queue.fill() == Filled.MORE
    assert len(session.storage.trainings("tiny").underway) == 3


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_a_second_process_that_starts_in_the_middle_scores_nothing_twice(tmp_path: Path, sampler: str) -> None:
    spec = tiny(search=ns.SearchSpec(n_candidates=24, sampler=sampler))
    whole, half, other = (open_study(spec, storage=url(tmp_path, n)) for n in ("whole", "half", "half"))
    score_candidates(whole)
    score_candidates(replace(half, spec=replace(spec, search=replace(spec.search, n_candidates=11))))
    score_candidates(other)
    digests = [[c.digest for c in s.storage.scored("tiny")] for s in (whole, other)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(digests[0]) >= 24


def test_a_study_whose_creation_was_killed_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = optuna.Study.set_user_attr
    for stop in (1, 2, 3, 11, 12):

        def killed(self: optuna.Study, key: str, value: object, stop: int = stop) -> None:
            calls.append(key)
            if len(calls) == stop:
                raise KeyboardInterrupt
            original(self, key, value)

        calls.clear()
        storage = url(tmp_path, f"s{stop}")
        with monkeypatch.context() as patch:
            patch.setattr(optuna.Study, "set_user_attr", killed)
            with pytest.raises(KeyboardInterrupt):
                open_study(tiny(), storage=storage)
        open_study(tiny(), storage=storage)
        assert StudyStorage(storage).study_names() == ["tiny"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return int(str(exit_.value.code)), err


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    ns.search(tiny(train=ns.TrainSpec(epochs=1, seeds=1)), storage=url(tmp_path))
    return tmp_path


@pytest.mark.parametrize("pragma", ["query_only = 1", "max_page_count = 1"])
def test_a_read_only_or_full_database_is_one_line(
    searched: Path, capsys: pytest.CaptureFixture[str], pragma: str
) -> None:
    def limit(connection: object, record: object) -> None:
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    before = read_result(StudyStorage(url(searched)), "tiny")
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", limit)
    try:
        arguments = ("train", "tiny", "--storage", url(searched), "--top-k", "8", "--control", "0")
        code, err = run(capsys, *arguments, "-q")
    finally:
        sqlalchemy.event.remove(sqlalchemy.engine.Engine, "connect", limit)
    assert code == 1
    assert ("readonly" if "only" in pragma else "full") in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert read_result(StudyStorage(url(searched)), "tiny").candidates == before.candidates
    assert set(before.trials) <= set(read_result(StudyStorage(url(searched)), "tiny").trials)
    assert run(capsys, "rank", "tiny", "--storage", url(searched))[0] == 0


def test_a_full_disk_leaves_no_half_artifact(
    searched: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = searched / "a_artifacts"
    before = sorted(artifacts.iterdir())

    def full(source: object, target: object, *args: object) -> None:
        target.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        code, err = run(capsys, "train", "tiny", "--storage", url(searched), "--top-k", "3", "-q")
    assert code == 1
    assert "No space left" in err
    assert sorted(artifacts.iterdir()) == before
    assert len(StudyStorage(url(searched)).trained("tiny")) == 3
    assert run(capsys, "train", "tiny", "--storage", url(searched), "--top-k", "3", "-q")[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_full_for_real(undisturbed: Undisturbed, tmp_path: Path) -> None:
    def mount(*options: str) -> None:
        subprocess.run(["mount", *options, str(tmp_path)], check=True)

    mount("-t", "tmpfs", "-o", "size=700k", "tmpfs")
    try:
        process = start(tmp_path, url(tmp_path))
        out, err = process.communicate(timeout=500)
        assert (process.returncode, out) == (1, "")
        errors = [line for line in err.splitlines() if "error" in line]
        assert len(errors) == 1
        assert "full" in errors[0] or "No space" in errors[0]
        assert "Traceback" not in err
        with sqlalchemy.create_engine(url(tmp_path)).connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        mount("-o", "remount,size=64m")
        assert comparable_rows(finish(start(tmp_path, url(tmp_path)))[0]) == undisturbed.rows
        check_unique(url(tmp_path))
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


@pytest.mark.parametrize("harm", ["missing", "cut", "garbage"])
def test_missing_and_corrupt_artifacts_are_one_line(
    searched: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    for path in (searched / "a_artifacts").iterdir():
        if harm == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if harm == "cut" else b"garbage")
    code, err = run(capsys, "export", "tiny", "--storage", url(searched), "-o", "net")
    assert (code, err.count("\n")) == (1 if harm == "missing" else 2, 1)
    assert not Path("net").exists()
    assert run(capsys, "rank", "tiny", "--storage", url(searched))[0] == 0


def test_no_memory_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def greedy(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == fails_at:
            raise MemoryError
        return original(*args, **kwargs)

    for module, name in ((assess, "count_params"), (training_job, "train")):
        fails_at = 2 if module is assess else 1  # the first one that is counted is that by which the space is feasible
        calls.clear()
        original = getattr(module, name)
        space = ns.SearchSpace(name="both", families={"cnn": {"depth": 1, "channels": [2, 3, 4]}})
        with monkeypatch.context() as patch:
            patch.setattr(module, name, greedy)
            spec = tiny(search_space=space, train=ns.TrainSpec(epochs=1, seeds=1))
            result = ns.search(spec, storage=url(tmp_path, name))
        failed = [r for r in (*result.candidates, *result.trials) if not r.is_ok]
        assert [r.status.split(":")[0] for r in failed] == ["too large"]


def test_a_candidate_that_really_does_not_fit_is_a_failed_trial(tmp_path: Path) -> None:
    code = (
        "import sys, resource, nas_sens as ns; from tests.tiny_study import tiny;"
        "resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, resource.RLIM_INFINITY));"
        "space = ns.SearchSpace(name='big', families={'fc': {'depth': 2, 'width': [8, 16, 1_000_000]}});"
        "r = ns.search(tiny(search_space=space, train=ns.TrainSpec(epochs=1, seeds=1)), storage=sys.argv[1]);"
        "print([c.status for c in r.candidates if not c.is_ok], len(r.trials))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url(tmp_path)], cwd=Path(__file__).parents[2], env=ENVIRONMENT,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['too large: the candidate does not fit in memory'] 2", done.stderr[-2000:]
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("url_", ["postgresql://me:s3cret@h/d", "postgresql://me:s%403cret@h/d"])
def test_passwords_are_taken_out_of_texts(url_: str) -> None:
    written = url_.split(":")[2].split("@")[0]
    for text in (f"cannot reach {url_}", f"password {written} refused", written.replace("%40", "@")):
        assert "3cret" not in redact(text, url_)
