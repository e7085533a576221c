"""What may happen to a search: killed, interrupted, shared by processes, no disk, no memory, no rights."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import sqlalchemy

import nas_sens as ns
from nas_sens.cli.main import main
from nas_sens.core.interrupts import finish_first
from nas_sens.pipeline import search, train_stage
from nas_sens.results.search_result import read_result
from nas_sens.scoring import assess
from nas_sens.storage.claims import Claims
from nas_sens.storage.study_storage import StudyStorage
from nas_sens.storage.url import redact
from tests.tiny_study import tiny, url

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


def start(folder: Path, storage: str) -> subprocess.Popen[str]:
    (folder / "knocks.toml").write_text(STUDY)
    (folder / "space.toml").write_text(SPACE)
    command = [sys.executable, "-m", "nas_sens", "search", "knocks.toml", "--storage", storage, "--format", "json"]
    command += ["-o", f"{time.monotonic_ns()}.html", "--artifacts", str(folder / "artifacts")]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out, err


def comparable(out: str) -> list[dict[str, object]]:
    without = ("number", "source_trial", "seconds")  # say when and by whom, not what
    return [{k: v for k, v in row.items() if k not in without} for row in json.loads(out)]


def check_unique(storage: str) -> None:
    for name in ("knocks", "knocks/train"):
        trials = optuna.load_study(study_name=name, storage=storage).trials
        assert all(t.state.is_finished() for t in trials)
        digests = [t.user_attrs["digest"] for t in trials]
        assert len(digests) == len(set(digests)), f"{name}: stored twice"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, object]], set[str], float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    began = time.monotonic()
    out, _ = finish(start(folder, url(folder)))
    seconds = time.monotonic() - began
    return comparable(out), {c.digest for c in StudyStorage(url(folder)).scored("knocks")}, seconds


@pytest.mark.slow
def test_ten_kills_change_nothing(undisturbed: tuple[list[dict[str, object]], set[str], float], tmp_path: Path) -> None:
    expected, digests, seconds = undisturbed
    rng = random.Random(0)
    for i in range(10):
        process = start(tmp_path, url(tmp_path))
        time.sleep(rng.uniform(0.2, 0.9) * seconds * (0.5 if i % 2 else 1.0))
        process.kill()
        process.communicate()
    out, _ = finish(start(tmp_path, url(tmp_path)))
    assert comparable(out) == expected
    assert {c.digest for c in StudyStorage(url(tmp_path)).scored("knocks")} == digests
    check_unique(url(tmp_path))


def cooperate(folder: Path, storage: str, expected: list[dict[str, object]], digests: set[str]) -> None:
    processes = [start(folder, storage) for _ in range(4)]
    results = [finish(p) for p in processes]
    for out, err in results:
        assert comparable(out) == expected
        assert "nas-sens: error" not in err
    assert any("other processes" in err for _, err in results)
    assert {c.digest for c in StudyStorage(storage).scored("knocks")} == digests
    check_unique(storage)


@pytest.mark.slow
def test_four_processes_share_one_sqlite_file(
    undisturbed: tuple[list[dict[str, object]], set[str], float], tmp_path: Path
) -> None:
    cooperate(tmp_path, url(tmp_path), *undisturbed[:2])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(storage: str) -> None:
    """Return when a server that was just started answers."""
    engine = sqlalchemy.create_engine(storage)
    for _ in range(200):
        try:
            engine.connect().close()
            break
        except sqlalchemy.exc.OperationalError:
            time.sleep(0.1)
    engine.dispose()


@pytest.fixture
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("psycopg2", reason="no psycopg2 (pip install nas-sens[postgresql])")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server (apt-get install postgresql)")
    binaries, user = found[-1].parent, {"user": "postgres", "group": "postgres", "extra_groups": []}
    if os.geteuid() != 0:
        user = {}
    folder = Path("/tmp") / f"nas_sens_pg_{os.getpid()}"  # pytest's own folders are closed to user postgres
    folder.mkdir(mode=0o700)
    if user:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()
    (password := Path("/tmp") / f"nas_sens_pw_{os.getpid()}").write_text("s3cret\n")
    password.chmod(0o644)
    options = ["-A", "scram-sha-256", "--pwfile", str(password), "-U", "nas"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([binaries / "initdb", "-D", folder / "data", *options], check=True, **user, **silent)
    serve = ["-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    server = subprocess.Popen([binaries / "postgres", *serve], **user, **silent)
    try:
        storage = f"postgresql+psycopg2://nas:s3cret@127.0.0.1:{port}/postgres"
        wait_for(storage)
        yield storage
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder)
        password.unlink()


@pytest.fixture
def mariadb() -> Iterator[str]:
    pytest.importorskip("pymysql", reason="no PyMySQL (pip install nas-sens[mysql])")
    server_program = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    install = shutil.which("mariadb-install-db")
    if server_program is None or install is None:
        pytest.skip("no MariaDB server (apt-get install mariadb-server)")
    user = ["--user=root"] if os.geteuid() == 0 else []
    folder = Path("/tmp") / f"nas_sens_my_{os.getpid()}"  # the path of a socket must be short
    folder.mkdir(mode=0o700)
    port = free_port()
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    data = f"--datadir={folder / 'data'}"
    subprocess.run(
        [install, "--no-defaults", data, "--auth-root-authentication-method=normal", *user], check=True, **silent
    )
    (first := folder / "first.sql").write_text(
        "CREATE DATABASE nas;\n"  # a line each
        "CREATE USER 'nas'@'127.0.0.1' IDENTIFIED BY 's3cret';\n"
        "GRANT ALL ON nas.* TO 'nas'@'127.0.0.1';\n"
    )
    where = [f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1", f"--init-file={first}"]
    server = subprocess.Popen([server_program, "--no-defaults", data, *where, *user, "--skip-name-resolve"], **silent)
    try:
        storage = f"mysql+pymysql://nas:s3cret@127.0.0.1:{port}/nas"
        wait_for(storage)
        yield storage
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_four_processes_share_one_mariadb(
    undisturbed: tuple[list[dict[str, object]], set[str], float], tmp_path: Path, mariadb: str
) -> None:
    cooperate(tmp_path, mariadb, *undisturbed[:2])


@pytest.mark.slow
def test_four_processes_share_one_postgresql_and_tell_no_password(
    undisturbed: tuple[list[dict[str, object]], set[str], float], tmp_path: Path, postgresql: str
) -> None:
    processes = [start(tmp_path, postgresql) for _ in range(4)]
    results = [finish(p) for p in processes]
    for out, err in results:
        assert comparable(out) == undisturbed[0]
        assert "s3cret" not in out + err
    assert {c.digest for c in StudyStorage(postgresql).scored("knocks")} == undisturbed[1]
    check_unique(postgresql)
    reports = list(tmp_path.glob("*.html"))
    assert len(reports) == 4
    assert not any("s3cret" in p.read_text(encoding="utf-8") for p in reports)
    for name in ("knocks", "knocks/train"):
        study = optuna.load_study(study_name=name, storage=postgresql)
        assert "s3cret" not in str(study._storage.get_study_system_attrs(study._study_id)) + str(study.user_attrs)


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


def test_a_process_that_finds_the_work_taken_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ns.search(tiny(), storage=url(tmp_path, "whole"))
    session = search.open_session(tiny(), storage=url(tmp_path))
    taken = {c.digest for c in whole.candidates[:1]} | {t.digest for t in whole.trials[:1]} | {"scores 1:0"}
    refused: list[str] = []
    take = Claims.take

    def busy(self: Claims, name: str, item: str) -> bool:
        if item in taken and refused.count(item) < 2:
            refused.append(item)
            return False
        return take(self, name, item)

    monkeypatch.setattr(Claims, "take", busy)
    monkeypatch.setattr("nas_sens.pipeline.session.POLL_SECONDS", 0.01)
    search.score_candidates(session)
    search.train_selected(session)
    result = read_result(session.storage, "tiny")
    assert {c.digest for c in result.candidates} == {c.digest for c in whole.candidates}
    assert [t.digest for t in result.trials] == [t.digest for t in whole.trials]
    assert refused.count("scores 1:0") == 2


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc"])
def test_a_second_process_that_starts_in_the_middle_scores_nothing_twice(tmp_path: Path, sampler: str) -> None:
    spec = tiny(search=ns.SearchSpec(n_candidates=24, sampler=sampler))
    whole, half, other = (search.open_session(spec, storage=url(tmp_path, n)) for n in ("whole", "half", "half"))
    search.score_candidates(whole)
    search.score_candidates(replace(half, spec=replace(spec, search=replace(spec.search, n_candidates=11))))
    search.score_candidates(other)
    digests = [[c.digest for c in s.storage.scored("tiny")] for s in (whole, other)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(digests[0]) >= 24


def test_a_study_whose_creation_was_killed_is_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = optuna.Study.set_user_attr
    for stop in (1, 7, 8, 9, 14):

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
                search.open_session(tiny(), storage=storage)
        search.open_session(tiny(), storage=storage)
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
def test_a_disk_that_is_full_for_real(
    undisturbed: tuple[list[dict[str, object]], set[str], float], tmp_path: Path
) -> None:
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
        assert comparable(finish(start(tmp_path, url(tmp_path)))[0]) == undisturbed[0]
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
    assert (code, err.count("\n")) == (1, 1)
    assert not Path("net").exists()
    assert run(capsys, "rank", "tiny", "--storage", url(searched))[0] == 0


def test_no_memory_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def greedy(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return original(*args, **kwargs)

    for module, name in ((assess, "count_params"), (train_stage, "train")):
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
