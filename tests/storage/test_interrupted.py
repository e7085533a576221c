"""A Ctrl-C while the database is written leaves nothing that others would wait for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from nas_sens.storage.study_storage import StudyStorage
from tests.stored_candidates import ATTRIBUTES, DISTRIBUTIONS, scored, trained


@pytest.fixture(params=[True, False], ids=["bulk", "by Optuna"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> StudyStorage:
    storage = StudyStorage(f"sqlite:///{tmp_path}/s.db", bulk=request.param)
    storage.create("study", ATTRIBUTES, objective="val_loss")
    storage.add_scored("study", [(scored(5), DISTRIBUTIONS)])
    storage.enqueue("study", [trained(storage.scored("study")[0])], seen=storage.trainings("study"))
    return storage


@contextmanager
def interrupted_after(storage: StudyStorage, words: str) -> Iterator[None]:
    """Press Ctrl-C inside the ``with`` block once a statement with some words was executed."""
    engine, pressed = storage.rdb.engine, []

    def press(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if words in statement and not pressed:
            pressed.append(statement)
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sqlalchemy.event.listen(engine, "after_cursor_execute", press)
    with pytest.raises(KeyboardInterrupt):
        yield
    assert pressed


def test_a_training_that_is_just_begun_waits_again(storage: StudyStorage) -> None:
    with interrupted_after(storage, "UPDATE trials SET state"):
        storage.take("study")
    (waiting,) = storage.trainings("study").underway
    assert not waiting.is_running
    assert StudyStorage(storage.url).take("study") is not None


def test_a_lease_that_is_just_taken_is_given_up(storage: StudyStorage) -> None:
    with interrupted_after(storage, "INSERT INTO nas_sens_leases"), storage.leases.claimed("study", "plan"):
        pass
    assert storage.leases.held == {}
    assert StudyStorage(storage.url).leases.take("study", "plan")
