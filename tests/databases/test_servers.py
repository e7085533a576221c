"""Whole searches on database servers: as on SQLite, by one process or several, and no word of the password."""

from __future__ import annotations

import collections
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
import sqlalchemy

import nas_sens as ns
from nas_sens.core.progress import SilentProgress
from nas_sens.dashboard.merged_notes import merged_attributes
from nas_sens.pipeline import training_job
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.train_stage import train_selected
from nas_sens.results.search_result import read_result
from nas_sens.scoring import assess
from nas_sens.storage.drivers import with_driver
from nas_sens.storage.migration import Migrated, migrate
from nas_sens.storage.study_storage import StudyStorage
from tests import earlier_studies
from tests.cases.test_theirs import SPACE, STUDY
from tests.databases import servers
from tests.shared_study import ENVIRONMENT, Undisturbed, cooperate
from tests.stored_candidates import new_study, trained, trainings_in
from tests.tiny_study import comparable, tiny, url

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[servers.postgresql, servers.mariadb], ids=lambda start: start.__name__)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server's first database."""
    with request.param() as storage:
        yield storage


@pytest.fixture
def storage(server: str) -> str:
    """The URL of an empty database."""
    name = f"t{uuid.uuid4().hex[:12]}"
    engine = sqlalchemy.create_engine(with_driver(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return sqlalchemy.engine.make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> ns.SearchResult:
    return ns.search(tiny(), storage=url(tmp_path_factory.mktemp("sqlite")))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nas_sens", *arguments]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert servers.PASSWORD not in done.stdout + done.stderr
    return done


def test_a_search_is_what_it_is_on_sqlite(
    storage: str, on_sqlite: ns.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the artifacts of a server's studies go
    result = ns.search(tiny(), storage=storage)
    assert comparable(result) == comparable(on_sqlite)
    assert ns.search(tiny(), storage=storage) == result
    ranked = json.loads(run(tmp_path, "rank", "tiny", "--storage", storage, "--format", "json").stdout)
    assert [row["digest"] for row in ranked] == [t.digest for t in result.trials]
    assert [row["val_loss"] for row in ranked] == [t.val_loss for t in result.trials]
    scored = json.loads(run(tmp_path, "rank", "tiny", "--scored", "--storage", storage, "--format", "json").stdout)
    assert {row["digest"] for row in scored} == {c.digest for c in result.candidates}
    run(tmp_path, "report", "tiny", "--storage", storage, "-o", "tiny.html")
    assert servers.PASSWORD not in (tmp_path / "tiny.html").read_text(encoding="utf-8")
    run(tmp_path, "export", "tiny", "--storage", storage, "-o", "net")
    assert ns.load_spec(tmp_path / "net").digest == result.best.digest


@pytest.mark.parametrize("stop", ["scoring", "training"])
def test_an_interrupted_search_ends_like_an_undisturbed_one(
    storage: str, on_sqlite: ns.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    module, name, limit = (assess, "with_score", 5) if stop == "scoring" else (training_job, "train", 3)
    original = getattr(module, name)
    calls = []

    def interrupted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == limit:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(module, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            ns.search(tiny(), storage=storage)
    stored = read_result(StudyStorage(storage), "tiny")
    assert len(stored.candidates) == (4 if stop == "scoring" else 8)
    assert len(stored.trials) == (0 if stop == "scoring" else 1)
    assert comparable(ns.search(tiny(), storage=storage)) == comparable(on_sqlite)


@pytest.mark.parametrize("n_processes", [2, 4])
def test_processes_share_a_study_and_tell_no_password(
    storage: str, undisturbed: Undisturbed, tmp_path: Path, n_processes: int
) -> None:
    told = cooperate(tmp_path, storage, undisturbed, n_processes=n_processes)
    reports = [path.read_text(encoding="utf-8") for path in tmp_path.glob("*.html")]
    assert len(reports) == n_processes
    study = optuna.load_study(study_name="knocks", storage=with_driver(storage))
    told += str(study._storage.get_study_system_attrs(study._study_id)) + str(study.user_attrs)
    assert not any(servers.PASSWORD in text for text in (told, *reports))


SCHEMES = {"postgresql": ("psycopg", "psycopg2"), "mysql": ("pymysql",), "mariadb": ("pymysql",)}
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from nas_sens.cli.main import main
main()
"""


@pytest.mark.parametrize(("scheme", "driver"), [(s, d) for s, drivers in SCHEMES.items() for d in drivers])
def test_a_plain_url_is_opened_by_any_driver_that_is_installed(
    storage: str, tmp_path: Path, scheme: str, driver: str
) -> None:
    own = storage.partition(":")[0]
    if (scheme == "postgresql") != (own == "postgresql"):
        pytest.skip("another server's")
    pytest.importorskip(driver)
    others = {"psycopg", "psycopg2", "MySQLdb", "pymysql"} - {driver}
    (tmp_path / "s.toml").write_text(STUDY)
    (tmp_path / "space.toml").write_text(SPACE)
    given = storage.replace(own, scheme, 1)
    command = ["search", "s.toml", "-q", "--storage", given, "--artifacts", "a"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, ",".join(others), *command],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert servers.PASSWORD not in done.stdout + done.stderr
    assert len(json.loads(run(tmp_path, "rank", "mine", "--storage", given, "--format", "json").stdout)) == 1


def test_two_studies_of_an_earlier_version_become_one(storage: str, tmp_path: Path) -> None:
    earlier = earlier_studies.url(earlier_studies.copy_of("two_studies", tmp_path))
    for name in ("stored", "stored/train"):
        optuna.copy_study(from_study_name=name, from_storage=earlier, to_storage=with_driver(storage))
    before = [optuna.load_study(study_name=n, storage=with_driver(storage)).trials for n in ("stored", "stored/train")]
    databases = [StudyStorage(storage) for _ in range(3)]

    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        assert not statement.startswith("DELETE FROM studies")

    sqlalchemy.event.listen(databases[2].rdb.engine, "before_cursor_execute", fail)
    with pytest.raises(ns.StorageError, match="AssertionError"):
        migrate(databases[2], "stored", merged=merged_attributes)
    assert before == [
        optuna.load_study(study_name=n, storage=with_driver(storage)).trials for n in ("stored", "stored/train")
    ]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda d: migrate(d, "stored", merged=merged_attributes), databases[:2]))
    assert sorted(found, key=str) == [Migrated(candidates=9, trainings=8, others=0), None]
    there = StudyStorage(storage)
    assert [c.number for c in there.scored("stored")] == list(range(9))
    rows = {row["number"]: row for row in json.loads((tmp_path / "study.json").read_text())}
    for t in there.trained("stored"):
        row = rows[t.number - 9]
        assert (t.digest, t.candidate, t.val_loss) == (row["digest"], row["source_trial"], row["val_loss"])
    study = optuna.load_study(study_name="stored", storage=with_driver(storage))
    assert study.best_value == min(row["val_error"] for row in rows.values() if row["val_error"] is not None)
    assert [t.state.name for t in study.trials[:9]] == ["PRUNED" if t.value else "FAIL" for t in before[0]]
    assert "is of an earlier nas_sens" in run(tmp_path, "migrate", "--all", "--storage", storage).stdout


def test_who_gives_no_sign_of_life_is_given_up_by_the_servers_clock(storage: str, tmp_path: Path) -> None:
    mine = new_study(storage, n=2, artifacts=tmp_path)
    other = StudyStorage(storage, artifacts=tmp_path, grace_seconds=36_000.0, worker="other")
    records = [trained(c, val_loss=None) for c in mine.scored("study")]
    assert mine.enqueue("study", records, seen=mine.trainings("study")) == 2
    assert other.leases.take("study", "a")
    job = other.take("study")
    assert job is not None

    def silence(seconds: int) -> None:
        unit = f"'{seconds} seconds'" if storage.startswith("postgresql") else f"{seconds} second"
        with mine.rdb.engine.begin() as connection:
            for table in ("nas_sens_leases", "trial_heartbeats"):
                connection.exec_driver_sql(f"UPDATE {table} SET heartbeat = heartbeat - INTERVAL {unit}")

    silence(20)
    mine.fail_stale("study")
    assert not mine.leases.take("study", "a")
    assert mine.trainings("study").underway[0].is_running
    silence(60)
    mine.fail_stale("study")
    assert mine.leases.take("study", "a")
    assert not other.leases.take("study", "a")
    assert [u.training.candidate for u in mine.trainings("study").underway] == [1]
    assert other.finish("study", job, trained(mine.scored("study")[0]), {}) is None
    assert mine.enqueue("study", records[:1], seen=mine.trainings("study")) == 1
    assert [mine.take("study"), mine.take("study")] != [None, None]
    states = [(t.state.name, t.system_attrs.get("retry_history")) for t in trainings_in(with_driver(storage))]
    assert states == [("FAIL", None), ("RUNNING", None), ("RUNNING", [2])]


class Interrupting(SilentProgress):
    """Progress that does something when a number of candidates have been scored or trained, just before it is stored.

    Args:
        when: "scored" or "trained", with the number, to what is done then.
    """

    def __init__(self, when: dict[tuple[str, int], Callable[[], None]]) -> None:
        self.when, self.told = when, []
        self.n = collections.Counter[str]()

    def message(self, text: str) -> None:
        self.told.append(text)

    def detail(self, text: str) -> None:
        word = text.split()[0]
        self.n[word] += 1
        if what := self.when.pop((word, self.n[word]), None):
            what()


def test_a_server_that_goes_away_is_waited_for_and_nothing_is_stored_twice(
    on_sqlite: ns.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with servers.postgresql_server() as server:
        admin = sqlalchemy.create_engine(with_driver(server.storage), poolclass=sqlalchemy.NullPool)

        def cut() -> None:
            """End the connections of everybody else, as a firewall or an administrator does."""
            with admin.connect() as connection:
                query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                query += "AND backend_type = 'client backend'"
                assert connection.exec_driver_sql(query).scalar_one() > 0

        def restart() -> None:
            server.stop()
            timers.append(threading.Timer(2.0, server.start))
            timers[-1].start()

        timers: list[threading.Timer] = []
        when = {("scored", 3): cut, ("scored", 6): restart}
        when |= {("trained", 1): cut, ("trained", 2): restart, ("trained", 3): cut}
        progress = Interrupting(dict(when))
        settings = Settings(patience_seconds=120.0, flush_count=1, report_seconds=0.05)
        session = open_study(tiny(), storage=server.storage, progress=progress, settings=settings)
        score_candidates(session)
        assert train_selected(session)
        assert not progress.when, "something of it did not happen"
        assert len(timers) == 2
        for timer in timers:
            timer.join()
        waits = [t for t in progress.told if t.endswith("trying again for 120 s")]
        assert len(waits) >= 2
        assert not any(servers.PASSWORD in t for t in progress.told)
        assert comparable(read_result(StudyStorage(server.storage), "tiny")) == comparable(on_sqlite)
        study = optuna.load_study(study_name="tiny", storage=with_driver(server.storage))
        assert [t.state.name for t in study.trials] == ["PRUNED"] * 8 + ["COMPLETE"] * 3
        admin.dispose()


def test_without_patience_what_was_trained_is_left_to_the_next_run(
    on_sqlite: ns.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with servers.postgresql_server() as server:
        progress = Interrupting({("trained", 1): server.stop})
        hasty = Settings(patience_seconds=0.0, grace_seconds=3.0, poll_seconds=0.1)
        session = open_study(tiny(), storage=server.storage, progress=progress, settings=hasty)
        score_candidates(session)
        with pytest.raises(ns.StorageError) as error:
            train_selected(session)
        assert "\n" not in str(error.value)
        assert servers.PASSWORD not in str(error.value)
        server.start()
        servers.answering(server.storage)
        # In the same process, whose first try gives no more signs of life.
        session = open_study(tiny(), storage=server.storage, settings=hasty)
        assert train_selected(session)
        assert comparable(read_result(session.storage, "tiny")) == comparable(on_sqlite)
        study = optuna.load_study(study_name="tiny", storage=with_driver(server.storage))
        assert [t.state.name for t in study.trials[8:]] == ["FAIL"] + ["COMPLETE"] * 3
