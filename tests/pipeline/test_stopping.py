"""Searches that stop when further trainings are not worth it, and what is said of further trainings at their end."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import nas_sens as ns
from nas_sens.cli.main import cli
from nas_sens.core.errors import StorageError
from nas_sens.core.progress import SilentProgress
from nas_sens.pipeline.overview import overview_of
from nas_sens.pipeline.pool import Pool
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.stopping import prospects_of
from nas_sens.pipeline.train_stage import trainable
from nas_sens.pipeline.training_queue import Filled, TrainingQueue
from nas_sens.pipeline.workers import Workers
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.pipeline.test_growth import SPECS as ALL
from tests.pipeline.test_growth import cut, error_of, looked_up, write
from tests.tiny_study import comparable, url

LIMIT = 0.004  # of errors from 0.1 to 0.2
DECLARED = """
name = "s"
[search_space.fc]
depth = {{ type = "int", low = 1, high = 6 }}
width = {{ type = "int", low = 2, high = 40 }}
[data]
name = "digits"
train_samples = 100
[score]
n_inputs = 8
[search]
n_candidates = 30
grow = 0
[select]
top_k = 20
stop_gain = 0.01
final = "val_error"
[train]
table = "{table}"
"""


class Heard(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def about(self, *words: str) -> list[str]:
        return [m for m in self.messages if any(word in m for word in words)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "all.csv", ALL)


def spec(table: Path, stop_gain: float | None = LIMIT, **changes: Any) -> ns.StudySpec:
    select = {"top_k": 40, "control": 4, "stop_gain": stop_gain, **changes.pop("select", {})}
    return looked_up(table, n=60, grow=0, select=select, **changes)


@pytest.fixture(scope="module")
def scored(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of which only the scores are there: select may change."""
    folder = tmp_path_factory.mktemp("scored")
    score_candidates(open_study(spec(table), storage=url(folder)))
    return folder / "a.db"


@pytest.fixture
def folder(scored: Path, tmp_path: Path) -> Path:
    shutil.copy(scored, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def stopped(scored: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ns.SearchResult, Path, Heard]:
    folder, heard = tmp_path_factory.mktemp("stopped"), Heard()
    shutil.copy(scored, folder)
    return ns.search(spec(table), storage=url(folder), progress=heard), folder, heard


def test_it_stops_early_and_says_why(stopped: tuple[ns.SearchResult, Path, Heard]) -> None:
    result, folder, heard = stopped
    n = len(result.trials)
    assert 6 <= n < 30
    expected = StudyStorage(url(folder)).attributes("tiny")["prospects"]
    assert set(expected) == {"n_trained", "next_one", "next_ten"}
    assert expected["n_trained"] == n
    assert 0 <= expected["next_one"] <= expected["next_ten"] < LIMIT
    assert result.protocol["select"]["prospects"] == expected
    assert heard.about("stopped", "further trainings") == [
        f"stopped after {n} trainings, {44 - n} left out: the next 10 should gain less than stop_gain = 0.004",
        f"further trainings are expected to improve the best val_error by {expected['next_one']:.2g} (the next one) "
        f"and {expected['next_ten']:.2g} (the next 10); lower stop_gain to go on",
    ]
    best = min(error_of(ns.load_spec(c.architecture)) for c in result.candidates)
    assert result.trials[0].val_error - best < 3 * LIMIT  # what it left behind


def test_of_a_stopped_study_nothing_is_left(
    stopped: tuple[ns.SearchResult, Path, Heard], table: Path, tmp_path: Path
) -> None:
    result, folder, _ = stopped
    storage = StudyStorage(url(folder))
    assert overview_of(storage, spec(table)).n_left == 0
    assert overview_of(storage, spec(table, 1e-9)).n_left == 44 - len(result.trials)
    assert overview_of(storage, spec(table, None)).n_left == 44 - len(result.trials)
    said = {}
    for command in (["status"], ["status", "--watch"], ["report", "-o", str(tmp_path / "r.html")]):
        done = CliRunner().invoke(cli, [command[0], "tiny", *command[1:], "--storage", url(folder)])
        assert done.exit_code == 0, done.output
        said[command[-1]] = " ".join(done.output.split())
    assert " 0 left" in said["status"]
    page = " ".join((tmp_path / "r.html").read_text().split())
    assert "another training is expected to improve the best validation error by" in page
    assert "select.prospects" not in page


def test_resumed_it_trains_nothing_and_does_not_say_again_what_is_expected(
    stopped: tuple[ns.SearchResult, Path, Heard], table: Path
) -> None:
    result, folder, _ = stopped
    again = Heard()
    assert comparable(ns.search(spec(table), storage=url(folder), progress=again)) == comparable(result)
    assert again.about("further trainings") == []
    assert len(again.about("stopped after")) == 1  # or nobody knew why nothing is done


def test_the_terminal_says_it_and_advises_nothing_in_vain(table: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(DECLARED.format(table=table))
    arguments = ["search", str(tmp_path / "s.toml"), "--storage", url(tmp_path), "-o", str(tmp_path / "r.html")]
    said = []
    for _ in range(2):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        said.append(done.output)
        assert done.output.count("stopped after") == 1
        assert "train four more" not in done.output
    assert [text.count("lower stop_gain to go on") for text in said] == [1, 0]


@pytest.mark.parametrize("n_trained", [3, 7, -1])
def test_an_interrupted_search_stops_where_the_whole_one_does(
    stopped: tuple[ns.SearchResult, Path, Heard], table: Path, tmp_path: Path, n_trained: int
) -> None:
    result, source, _ = stopped
    numbers = sorted(t.number for t in result.trials if t.number is not None)
    cut(source / "a.db", tmp_path / "a.db", numbers[n_trained])
    assert comparable(ns.search(spec(table), storage=url(tmp_path))) == comparable(result)


def test_a_tiny_limit_stops_nothing(table: Path, folder: Path, scored: Path) -> None:
    heard, few = Heard(), {"top_k": 6, "control": 2}
    with_limit = ns.search(spec(table, 1e-9, select=few), storage=url(folder), progress=heard)
    shutil.copy(scored, folder / "b.db")
    without = ns.search(spec(table, None, select=few), storage=url(folder, "b"))
    assert comparable(with_limit) == comparable(without)
    assert len(with_limit.trials) == 8
    assert heard.about("stopped after") == []
    assert len(heard.about("raise top_k to go on")) == 1
    assert with_limit.protocol["select"]["prospects"] == without.protocol["select"]["prospects"]
    more = Heard()
    longer = ns.search(spec(table, None, select={**few, "top_k": 8}), storage=url(folder, "b"), progress=more)
    assert len(more.about("further trainings")) == 1  # of the longer study anew
    assert longer.protocol["select"]["prospects"]["n_trained"] == 10


def test_a_lower_limit_lets_it_go_on(stopped: tuple[ns.SearchResult, Path, Heard], table: Path, tmp_path: Path) -> None:
    result, source, _ = stopped
    shutil.copy(source / "a.db", tmp_path)
    more = ns.search(spec(table, LIMIT / 20), storage=url(tmp_path))
    assert {t.digest for t in result.trials} < {t.digest for t in more.trials}


@pytest.mark.parametrize("change", [{"rule": "random"}, {"cost": "log10_params"}])
def test_rules_that_expect_nothing_say_nothing(table: Path, folder: Path, change: dict[str, str]) -> None:
    heard, few = Heard(), {"top_k": 4, "control": 0}
    result = ns.search(spec(table, None, select={**few, **change}), storage=url(folder), progress=heard)
    assert "prospects" not in result.protocol["select"]
    assert heard.about("further trainings", "stopped") == []


@pytest.mark.slow
def test_several_workers_stop_too(table: Path, folder: Path) -> None:
    result = ns.search(spec(table), storage=url(folder), workers=Workers(n=2), device="cpu")
    expected = result.protocol["select"]["prospects"]
    assert expected["n_trained"] == len(result.trials) < 44
    assert expected["next_ten"] < LIMIT
    assert overview_of(StudyStorage(url(folder)), spec(table)).n_left == 0


def test_idle_workers_stop_while_others_train(table: Path, folder: Path) -> None:
    """What runs is waited for, and nothing more is planned."""
    declared = replace(spec(table), train=ns.TrainSpec(epochs=1, seeds=1))
    queues = []
    for name in ("a", "b"):
        settings = Settings(worker=name, is_asynchronous=True)
        session = open_study(declared, storage=url(folder), settings=settings)
        queues.append((session.storage, TrainingQueue(session, trainable(session))))
    running, n_done, filled = [], 0, [Filled.MORE]
    while filled != [Filled.DONE] * 2:
        filled = []
        for storage, queue in queues:
            filled.append(queue.fill())
            if filled[-1] == Filled.MORE and len(running) < 2:
                running.append((storage, storage.take("tiny")))
        if running:
            storage, claim = running.pop(0)
            error = error_of(ns.load_spec(claim.training.architecture))
            assert (
                storage.finish("tiny", claim, replace(claim.training, val_error=error, val_loss=error), {}) is not None
            )
            n_done += 1
    assert running == []
    assert 6 <= n_done < 40
    expected = queues[0][1].prospects()
    assert expected is not None
    assert expected.next_ten < LIMIT


@pytest.mark.parametrize("value", [[], {"n_trained": 3}, {"n_trained": 3, "next_one": "x", "next_ten": 1}])
def test_what_somebody_altered_is_told(folder: Path, value: object) -> None:
    storage = StudyStorage(url(folder))
    storage.create("tiny", {"prospects": value}, objective="val_error")
    with pytest.raises(StorageError, match="prospects of study 'tiny' must "):
        read_result(storage, "tiny")


def test_more_of_a_figure_that_is_made_large_is_a_gain(table: Path, tmp_path: Path) -> None:
    """What is said of errors is said of their negative, too, where more of it is better."""
    declared = spec(table, None, select={"top_k": 8})
    result = ns.search(declared, storage=url(tmp_path))
    pool = Pool(result.candidates)
    large = replace(declared, select=replace(declared.select, target="f1", direction="maximize", final="val_error"))
    turned = [replace(t, figures={"f1": -t.val_error}) for t in result.trials]
    small = prospects_of(declared, pool, result.trials)
    assert small is not None
    assert small.next_ten > 0
    assert prospects_of(large, pool, turned) == small
