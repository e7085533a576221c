"""Optuna's own suite of storages, on a database that our bulk writer has filled, and goes on filling.

Every trial that the suite hands in as a template is written by `bulk_write`, so that what the suite expects of
Optuna's writer is expected of ours; a study that we wrote before lies in the same file, and must be as it was when the
suite's test is over. Where the suite counts the studies of the database, ours is deleted first: its rows are gone, but
its identifiers were given out.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from nas_sens.storage import bulk_write
from tests.stored_trials import everything, trial

suite = pytest.importorskip("optuna.testing.pytest_storages", reason="this Optuna has no suite for other storages")

COUNTS_ALL_STUDIES = ("test_create_new_study", "test_create_new_study_unique_id", "test_get_all_studies")
HAND_IN_TRIALS = ("test_get_trial", "test_get_all_trials", "test_get_best_trial")
OURS = [trial(i) for i in range(6)]


class Unsynced(sqlite3.Connection):
    """A connection that does not wait for the disk, on which the suite spends a minute."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute("PRAGMA synchronous = OFF")


class BulkStorage(RDBStorage):
    """Optuna's storage, but trials that are handed in are written as nas_sens writes them."""

    n_written = 0  # by us

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        is_ours = template_trial is not None
        if not is_ours or len(template_trial.values or []) > 1:  # of several objectives nas_sens writes none
            return super().create_new_trial(study_id, template_trial)
        (number,) = bulk_write.insert_trials(self, study_id, [template_trial])
        self.n_written += 1
        return self.get_trial_id_from_study_id_trial_number(study_id, number)


def open_storage(path: Path, *, is_new: bool = False) -> BulkStorage:
    options = {"skip_table_creation": not is_new, "skip_compatibility_check": not is_new}
    return BulkStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"factory": Unsynced}}, **options)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[object]]:
    """A database with a study that the bulk writer wrote, made once, as tables take half a second; and the study."""
    path = tmp_path_factory.mktemp("filled") / "a.db"
    storage = open_storage(path, is_new=True)
    study_id = storage.create_new_study([StudyDirection.MINIMIZE], "ours")
    bulk_write.insert_trials(storage, study_id, OURS)
    written = contents(storage)
    storage.remove_session()
    storage.engine.dispose()
    return path, written


class TestOptunasOwnSuite(suite.StorageTestCase):
    @pytest.fixture
    def storage(
        self, filled: tuple[Path, list[object]], tmp_path: Path, request: pytest.FixtureRequest
    ) -> Iterator[RDBStorage]:
        path, written = filled
        shutil.copy(path, tmp_path / "a.db")
        storage = open_storage(tmp_path / "a.db")
        if request.node.originalname in COUNTS_ALL_STUDIES:
            storage.delete_study(storage.get_study_id_from_name("ours"))
            assert rows_left(storage) == {"alembic_version": 1, "version_info": 1}
            yield storage
            return
        yield storage
        assert storage.n_written or request.node.originalname not in HAND_IN_TRIALS
        assert contents(open_storage(tmp_path / "a.db")) == written


def contents(storage: RDBStorage) -> list[object]:
    return [everything(t) for t in storage.get_all_trials(storage.get_study_id_from_name("ours"))]


def rows_left(storage: RDBStorage) -> dict[str, int]:
    """Return the tables that are not empty, with their numbers of rows."""
    with storage.engine.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        counts = {t: connection.execute(sqlalchemy.text(f"SELECT count(*) FROM {t}")).scalar_one() for t in tables}
    return {table: n for table, n in counts.items() if n}
