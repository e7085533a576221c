"""Whole searches on database servers: as on SQLite, by one process or several, and no word of the password."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
import sqlalchemy

import nas_sens as ns
from nas_sens.dashboard.merged_notes import merged_attributes
from nas_sens.pipeline import training_job
from nas_sens.results.search_result import read_result
from nas_sens.scoring import assess
from nas_sens.storage.migration import Migrated, migrate
from nas_sens.storage.study_storage import StudyStorage
from tests import earlier_studies
from tests.databases import servers
from tests.shared_study import ENVIRONMENT, Undisturbed, cooperate
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
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return engine.url.set(database=name).render_as_string(hide_password=False)


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
    for name in ("knocks", "knocks/train"):
        study = optuna.load_study(study_name=name, storage=storage)
        told += str(study._storage.get_study_system_attrs(study._study_id)) + str(study.user_attrs)
    assert not any(servers.PASSWORD in text for text in (told, *reports))


def test_two_studies_of_an_earlier_version_become_one(storage: str, tmp_path: Path) -> None:
    earlier = earlier_studies.url(earlier_studies.copy_of("two_studies", tmp_path))
    for name in ("stored", "stored/train"):
        optuna.copy_study(from_study_name=name, from_storage=earlier, to_storage=storage)
    before = [optuna.load_study(study_name=n, storage=storage).trials for n in ("stored", "stored/train")]
    databases = [StudyStorage(storage) for _ in range(3)]

    def fail(connection: object, cursor: object, statement: str, *rest: object) -> None:
        assert not statement.startswith("DELETE FROM studies")

    sqlalchemy.event.listen(databases[2].rdb.engine, "before_cursor_execute", fail)
    with pytest.raises(AssertionError):
        migrate(databases[2], "stored", merged=merged_attributes)
    assert before == [optuna.load_study(study_name=n, storage=storage).trials for n in ("stored", "stored/train")]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda d: migrate(d, "stored", merged=merged_attributes), databases[:2]))
    assert sorted(found, key=str) == [Migrated(candidates=9, trainings=8, others=0), None]
    there = StudyStorage(storage)
    assert [c.number for c in there.scored("stored")] == list(range(9))
    rows = {row["number"]: row for row in json.loads((tmp_path / "study.json").read_text())}
    for t in there.trained("stored"):
        row = rows[t.number - 9]
        assert (t.digest, t.candidate, t.val_loss) == (row["digest"], row["source_trial"], row["val_loss"])
    study = optuna.load_study(study_name="stored", storage=storage)
    assert study.best_value == min(row["val_error"] for row in rows.values() if row["val_error"] is not None)
    assert [t.state.name for t in study.trials[:9]] == ["PRUNED" if t.value else "FAIL" for t in before[0]]
    assert "is of an earlier nas_sens" in run(tmp_path, "migrate", "--all", "--storage", storage).stdout
