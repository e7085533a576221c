"""A study that is cut anywhere, and again, and then goes on is the study that was never cut."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import nas_sens as ns
from nas_sens.core.progress import SilentProgress
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import comparable, tiny, url

SAMPLERS = ("random", "tpe")  # dealt out ahead, and one at a time, since each depends on the answers before it


class Counting(SilentProgress):
    """Progress that counts what is reported to it, and at one report is interrupted, as by Ctrl-C."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.n, self.n_scored, self.n_trained = stop_at, 0, 0, 0
        self.n_before: dict[str, int] = {}  # reports before each stage

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Counting]:
        self.n_before[name] = self.n
        yield self

    def message(self, text: str) -> None:
        self._count()

    def detail(self, text: str) -> None:
        self._count()
        self.n_scored += text.startswith("scored ")
        self.n_trained += text.startswith("trained ")

    def advance(self, n: int = 1, note: str = "") -> None:
        self._count()

    def _count(self) -> None:
        self.n += 1
        if self.n == self.stop_at:
            raise KeyboardInterrupt


def study(sampler: str) -> ns.StudySpec:
    return tiny(
        search=ns.SearchSpec(n_candidates=5, sampler=sampler),
        select=ns.SelectSpec(rule="pareto", top_k=1, control=1),
        train=ns.TrainSpec(epochs=2, seeds=2),
    )


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Nothing crashes here but Python, for which it is enough that the operating system has the data."""

    def switch_off(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", switch_off)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", switch_off)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables and nothing in them, which take half a second to make."""
    folder = tmp_path_factory.mktemp("empty")
    StudyStorage(url(folder)).rdb.engine.dispose()
    return folder / "a.db"


def new_database(empty: Path, folder: Path) -> str:
    shutil.copy(empty, folder / "a.db")
    return url(folder)


@pytest.fixture(scope="module")
def whole(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, Counting]]:
    """For each sampler, the result of a study that is never cut, and what it reports."""
    found = {}
    for sampler in SAMPLERS:
        progress = Counting()
        storage = new_database(empty, tmp_path_factory.mktemp(sampler))
        result = ns.search(study(sampler), storage=storage, progress=progress)
        assert (progress.n_scored, progress.n_trained) == (5, 2)
        found[sampler] = comparable(result), progress
    return found


# Shrinking would cut some hundred studies: an example that fails is small enough.
@pytest.mark.parametrize("sampler", SAMPLERS)
@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_a_study_that_is_cut_ends_like_one_that_was_not(whole, empty, sampler, data):
    expected, uncut = whole[sampler]
    in_scoring = st.integers(uncut.n_before["score"] + 2, uncut.n_before["train"])
    anywhere = st.integers(1, uncut.n)
    cuts = [data.draw(in_scoring), data.draw(anywhere)]
    with tempfile.TemporaryDirectory() as folder:
        storage = new_database(empty, Path(folder))
        for cut in cuts:
            progress = Counting(cut)
            try:
                ns.search(study(sampler), storage=storage, progress=progress)
            except KeyboardInterrupt:
                assert progress.n == cut
            stored = read_result(StudyStorage(storage), "tiny")
            # What was reported is kept, and nothing is there twice.
            assert len({c.digest for c in stored.candidates}) == len(stored.candidates) >= progress.n_scored
            assert len({t.digest for t in stored.trials}) == len(stored.trials) >= progress.n_trained
        assert comparable(ns.search(study(sampler), storage=storage)) == expected
        leftovers = [p for p in Path(folder).rglob("*") if p.suffix in (".pt", ".tmp")]
        assert not leftovers, "a checkpoint was left behind"
