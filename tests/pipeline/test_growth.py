"""The pool grows between rounds: the same for the same seed, whatever interrupts it, and within what is declared."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import nas_sens as ns
from nas_sens.cli.main import cli
from nas_sens.core.candidates import CONTROL
from nas_sens.core.errors import InvalidInputError
from nas_sens.core.progress import SilentProgress
from nas_sens.pipeline.overview import overview_of
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from nas_sens.pipeline.train_stage import train_selected, trainable
from nas_sens.pipeline.training_queue import Filled, TrainingQueue
from nas_sens.pipeline.workers import Workers
from nas_sens.results.search_result import read_result
from nas_sens.storage.study_storage import StudyStorage
from tests.tiny_study import comparable, tiny, url

FC = {"depth": {"type": "int", "low": 1, "high": 6}, "width": {"type": "int", "low": 2, "high": 40}}
SPACE = ns.SearchSpace(name="grid", families={"fc": FC})
SPECS = [ns.FCSpec(depth=d, width=w) for d in range(1, 7) for w in range(2, 41)]


def error_of(spec: ns.FCSpec) -> float:
    """The best network, of depth 4 and width 31, is not at an end of the space."""
    return 0.1 + 0.02 * abs(spec.depth - 4) + 0.001 * abs(spec.width - 31)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "all.csv", SPECS)


def write(path: Path, specs: list[ns.FCSpec]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["architecture", "val_error"])
        rows.writerows([s.to_json(), error_of(s)] for s in specs)
    return path


def looked_up(table: Path, *, grow: int | None = 12, n: int = 20, **changes: Any) -> ns.StudySpec:
    select = {"top_k": 9, "control": 3, "final": "val_error", **changes.pop("select", {})}
    values = {"search_space": SPACE, "search": ns.SearchSpec(n_candidates=n, grow=grow, sampler="random"), **changes}
    return tiny(select=ns.SelectSpec(**select), train=ns.TrainSpec(table=str(table)), **values)


@pytest.fixture(scope="module")
def whole(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ns.SearchResult, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return ns.search(looked_up(table), storage=url(folder)), folder


def grown(result: ns.SearchResult) -> list[Any]:
    return [c for c in result.candidates if c.grown_for is not None]


def test_every_round_but_the_first_has_new_candidates(whole: tuple[ns.SearchResult, Path]) -> None:
    result, _ = whole
    assert Counter(c.grown_for for c in result.candidates) == {None: 20, 2: 12, 3: 12, 4: 12, 5: 12}
    assert len({c.digest for c in result.candidates}) == len(result.candidates) == 68
    rounds = {t.digest: t.round for t in result.trials if t.chosen_by != CONTROL}
    later = [c for c in grown(result) if c.digest in rounds]
    assert later, "some of them are trained"
    assert all(rounds[c.digest] >= c.grown_for for c in later)
    trained = {t.digest for t in result.trials if t.chosen_by == CONTROL}
    assert not trained & {c.digest for c in grown(result)}, "the control group is a sample of the declared space"
    assert all(c.is_ok and c.number is not None for c in grown(result))


def test_a_better_one_than_any_of_the_first_is_proposed(whole: tuple[ns.SearchResult, Path], table: Path) -> None:
    """In 20 + 48 of 234 candidates and 12 trainings."""
    result, folder = whole
    alone = ns.search(looked_up(table, grow=0), storage=url(folder, "alone"))
    assert result.trials[0].val_error <= alone.trials[0].val_error
    first = [error_of(ns.load_spec(c.architecture)) for c in result.candidates if c.grown_for is None]
    later = [error_of(ns.load_spec(c.architecture)) for c in grown(result)]
    assert min(later) < min(first), "a better one than any of the first is proposed"


def test_the_control_group_is_that_of_a_study_that_does_not_grow(
    whole: tuple[ns.SearchResult, Path], table: Path
) -> None:
    result, folder = whole
    alone = ns.search(looked_up(table, grow=0), storage=url(folder, "control"))
    assert not grown(alone)
    groups = [{t.digest for t in r.trials if t.chosen_by == CONTROL} for r in (result, alone)]
    assert groups[0] == groups[1]
    shutil.copy(folder / "a.db", folder / "more.db")
    changed = looked_up(table, select={"control": 8})
    more = ns.search(changed, storage=url(folder, "more"))
    by_control = {t.digest for t in more.trials if t.chosen_by == CONTROL}
    assert groups[0] < by_control
    assert len(by_control) >= 5, "but for those that the rule had chosen already"
    assert not by_control & {c.digest for c in grown(more)}


def cut(source: Path, target: Path, first: int) -> None:
    """Copy a database without the trials from a number on."""
    shutil.copy(source, target)
    with sqlite3.connect(target) as connection:
        ids = [i for (i,) in connection.execute("SELECT trial_id FROM trials WHERE number >= ?", (first,))]
        tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'trial_%'")]
        for name in [*tables, "trials"]:
            connection.executemany(f"DELETE FROM {name} WHERE trial_id = ?", [(i,) for i in ids])


@pytest.mark.parametrize("stop", [20, 25, 31, 39, 60])
def test_a_kill_at_any_moment_changes_nothing(
    whole: tuple[ns.SearchResult, Path], table: Path, tmp_path: Path, stop: int
) -> None:
    """After the first scores, a training, the whole of a growth, a part of it, and so on.

    A database stores at once what is scored together, so that a part of it is there only where Optuna writes one by
    one; the last bits of a closed form depend on the others then.
    """
    result, folder = whole
    cut(folder / "a.db", tmp_path / "a.db", stop)
    again = ns.search(looked_up(table), storage=url(tmp_path))
    (candidates, trials), expected = comparable(again), comparable(result)
    assert trials == expected[1]
    assert [(c.digest, c.grown_for) for c in candidates] == [(c.digest, c.grown_for) for c in expected[0]]
    for name in ("log10_sensitivity", "log10_relative_sensitivity"):
        values = [[getattr(c, name) for c in found] for found in (candidates, expected[0])]
        assert values[0] == pytest.approx(values[1], rel=1e-12)
    if stop in (20, 25, 39):
        assert candidates == expected[0], "bit for bit"


class Stopping(SilentProgress):
    """Progress that is interrupted after so many candidates."""

    def __init__(self, n: int) -> None:
        self.left = n

    def detail(self, text: str) -> None:
        if text.startswith("scored "):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def test_ctrl_c_in_a_growth_changes_nothing(whole: tuple[ns.SearchResult, Path], table: Path, tmp_path: Path) -> None:
    result, _ = whole
    n_stored = []
    for n in (27, 14, 15):
        with pytest.raises(KeyboardInterrupt):
            ns.search(looked_up(table), storage=url(tmp_path), progress=Stopping(n))
        n_stored.append(len(read_result(StudyStorage(url(tmp_path)), "tiny").candidates))
    assert n_stored[0] == 20
    assert 20 < n_stored[1] < n_stored[2] < 68
    assert comparable(ns.search(looked_up(table), storage=url(tmp_path))) == comparable(result)


def test_only_what_the_table_has_is_proposed(table: Path, tmp_path: Path) -> None:
    some = [s for s in SPECS if s.width % 3]
    result = ns.search(looked_up(write(tmp_path / "some.csv", some), n=60), storage=url(tmp_path))
    assert len(grown(result)) == 48
    assert {c.digest for c in grown(result)} <= {s.digest for s in some}
    few = write(tmp_path / "few.csv", SPECS[::20])
    result = ns.search(looked_up(few, n=234), storage=url(tmp_path, "few"))
    assert not grown(result)


def test_a_space_that_is_all_scored_has_no_more(table: Path, tmp_path: Path) -> None:
    everything = ns.SearchSpec(n_candidates=234)
    result = ns.search(looked_up(table, search=everything), storage=url(tmp_path))
    assert len(result.candidates) == 234
    assert not grown(result)
    nearly = ns.search(looked_up(table, n=210, grow=30), storage=url(tmp_path, "nearly"))
    assert 225 < len(nearly.candidates) == len({c.digest for c in nearly.candidates}) <= 234
    assert len(nearly.trials) == 12


def test_a_narrow_band_of_flops_is_kept(tmp_path: Path) -> None:
    wide = {"depth": {"type": "int", "low": 1, "high": 8}, "width": {"type": "int", "low": 2, "high": 4000}}
    band = {"flops": {"min": 2_000_000, "max": 2_500_000}}
    space = ns.SearchSpace(name="band", families={"fc": wide}, constraints=band)
    search = opened(tmp_path, space=space, grow=24, top_k=4, control=1)
    search.score(4)
    finish(search)
    result = search.result()
    found = grown(result)
    assert len(found) >= 12, "half of the places at least: random ones seldom are in the band"
    assert all(c.feasible and 2_000_000 <= c.flops <= 2_500_000 for c in found)
    assert len({ns.load_spec(c.architecture).depth for c in found}) > 3


PROBE = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))


def opened(folder: Path, *, space: ns.SearchSpace = SPACE, name: str = "a", **changes: Any) -> ns.OpenSearch:
    values = {"top_k": 8, "control": 2, "grow": 10, **changes}
    return ns.open_search(space, probe=PROBE, n_outputs=3, storage=url(folder, name),
                          score=ns.ScoreSpec(n_inputs=24, seeds=2), **values)  # fmt: skip


def told(search: ns.OpenSearch, asked: ns.Asked) -> None:
    values = json.loads(asked.spec.to_json())
    size = values.get("width") or values.get("units") or 1
    rate = asked.training.get("learning_rate", 0.1)
    assert search.tell(asked, val_error=abs(size - 20) / 100 + abs(rate - 0.01))


def finish(search: ns.OpenSearch) -> None:
    while asked := search.ask():
        told(search, asked)


def units(inputs: Any, outputs: int, units: int, gate: str = "relu") -> torch.nn.Module:
    gates = {"relu": torch.nn.ReLU(), "tanh": torch.nn.Tanh()}
    return torch.nn.Sequential(torch.nn.Linear(6, units), gates[gate], torch.nn.Linear(units, outputs))


def test_unions_functions_and_training_grow_too(tmp_path: Path) -> None:
    own = {"units": {"type": "int", "low": 2, "high": 60}, "gate": ["relu", "tanh"]}
    training = {"learning_rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True}}
    space = ns.SearchSpace(name="union", families={"fc": FC, units: own}, training=training)
    results = []
    for name in ("a", "b"):
        search = opened(tmp_path, space=space, name=name)
        search.score(12)
        finish(search)
        results.append(search.result())
    assert comparable(results[0]) == comparable(results[1])
    found = grown(results[0])
    assert Counter(c.grown_for for c in found) == {2: 10, 3: 10, 4: 10}
    assert len({c.training["learning_rate"] for c in found}) > 3
    assert {json.loads(c.architecture)["family"] for c in found} == set(space.families)


def test_more_of_a_figure_that_is_made_large(tmp_path: Path) -> None:
    search = opened(tmp_path, target="f1", direction="maximize", grow=16)
    search.score(12)
    while asked := search.ask():
        search.tell(asked, f1=asked.spec.width / 100)
    widths = {n: [json.loads(c.architecture)["width"] for c in search.result().candidates if c.grown_for == n]
              for n in (None, 4)}  # fmt: skip
    mean = {n: sum(values) / len(values) for n, values in widths.items()}
    assert mean[4] > mean[None] + 4, "of 2 to 40"


def test_workers_that_choose_as_soon_as_they_are_idle_grow_once_a_round(table: Path, tmp_path: Path) -> None:
    """Three of them, whose trainings end in another order than they began."""
    spec = replace(looked_up(table, select={"top_k": 12}), train=ns.TrainSpec(epochs=1, seeds=1))
    queues, running = [], []
    for name in ("a", "b", "c"):
        settings = Settings(worker=name, is_asynchronous=True)
        session = open_study(spec, storage=url(tmp_path), settings=settings)
        score_candidates(session)
        queues.append((session.storage, TrainingQueue(session, trainable(session))))
    n_done = 0
    while n_done < 15:
        for storage, queue in queues:
            if len(running) < min(3, 15 - n_done):
                claim = storage.take("tiny")
                if claim is None:
                    assert queue.fill() == Filled.MORE, "no worker waits"
                    claim = storage.take("tiny")
                assert claim is not None
                running.append((storage, claim))
        storage, claim = running.pop((2 * n_done) % len(running))
        error = error_of(ns.load_spec(claim.training.architecture))
        done = replace(claim.training, val_error=error, val_loss=error)
        assert storage.finish("tiny", claim, done, {}) is not None
        n_done += 1
    assert [queue.fill() for _, queue in queues] == [Filled.DONE] * 3
    result = read_result(queues[0][0], "tiny")
    assert Counter(c.grown_for for c in result.candidates) == {None: 20, **dict.fromkeys(range(2, 7), 12)}
    assert len({c.digest for c in result.candidates}) == len(result.candidates)
    assert len({t.digest for t in result.trials}) == len(result.trials) == 15


@pytest.mark.slow
def test_workers_complete_a_study_that_grows(table: Path, tmp_path: Path) -> None:
    spec = replace(
        looked_up(table), train=ns.TrainSpec(epochs=1, seeds=1), search=ns.SearchSpec(n_candidates=20, grow=12)
    )
    result = ns.search(spec, storage=url(tmp_path), workers=Workers(n=2), device="cpu")
    assert len(result.trials) == 12
    counts = Counter(c.grown_for for c in grown(result))
    assert set(counts) == {2, 3, 4, 5}
    assert all(n <= 12 for n in counts.values())


def test_what_is_said_of_a_study_stays_true(whole: tuple[ns.SearchResult, Path], table: Path, tmp_path: Path) -> None:
    _, folder = whole
    storage = StudyStorage(url(folder))
    overview = overview_of(storage, looked_up(table))
    assert (overview.n_scored, overview.n_wanted, overview.n_grown, overview.n_left) == (20, 20, 48, 0)
    page = tmp_path / "r.html"
    said = {}
    for command in (["status"], ["rank", "--scored"], ["report", "-o", str(page)]):
        done = CliRunner().invoke(cli, [command[0], "tiny", *command[1:], "--storage", url(folder)])
        assert done.exit_code == 0, done.output
        said[command[0]] = " ".join(done.output.split())
    assert "20 of 20 candidates scored, 48 more between trainings" in said["status"]
    assert "68 candidates shown, 48 of them proposed between trainings, half or more near good ones" in said["rank"]
    drawn = "20 unique candidates were drawn and 48 proposed between trainings, half of them or more near good ones"
    assert f"{drawn}: 68 were scored" in " ".join(page.read_text().split())


def test_more_candidates_can_be_asked_for_afterwards(
    whole: tuple[ns.SearchResult, Path], table: Path, tmp_path: Path
) -> None:
    result, folder = whole
    shutil.copy(folder / "a.db", tmp_path / "a.db")
    session = open_study(looked_up(table, n=100), storage=url(tmp_path))
    score_candidates(session)
    overview = overview_of(session.storage, session.spec)
    assert (overview.n_scored, overview.n_grown) == (100, 48)
    assert train_selected(session)
    assert {t.digest for t in read_result(session.storage, "tiny").trials} >= {t.digest for t in result.trials}


def test_only_a_rule_with_rounds_can_grow_its_pool(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"\[search\] grow = 12 needs rule 'calibrated'.* given 'params'"):
        ns.search(looked_up(table, select={"rule": "params"}), storage=url(tmp_path))
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        ns.SearchSpec(grow=-1)
    plain = ns.search(looked_up(table, grow=None, select={"rule": "params"}), storage=url(tmp_path))
    assert plain.protocol["search"]["grow"] == 0
    assert not grown(plain)
    # Another rule goes on among what was proposed for one that has rounds, and back again.
    by_default = looked_up(table, grow=None, select={"top_k": 3})
    first = ns.search(by_default, storage=url(tmp_path, "b"))
    assert first.protocol["search"]["grow"] == 16
    assert len(grown(first)) == 16
    other = ns.search(looked_up(table, grow=None, select={"rule": "params", "top_k": 5}), storage=url(tmp_path, "b"))
    assert len(grown(other)) == 16
    assert len(other.trials) == 8


@pytest.mark.parametrize("removed", [("rounds",), ("grow",), ("rounds", "grow")])
def test_studies_of_before_go_on_as_they_began(table: Path, tmp_path: Path, removed: tuple[str, ...]) -> None:
    begun = looked_up(table, grow=0, select={"rounds": 3, "top_k": 6})
    ns.search(begun, storage=url(tmp_path))
    with sqlite3.connect(tmp_path / "a.db") as connection:
        (text,) = connection.execute("SELECT value_json FROM study_user_attributes WHERE key = 'study'").fetchone()
        study = json.loads(json.loads(text))
        for key in removed:
            del study["select" if key == "rounds" else "search"][key]
        stored = json.dumps(json.dumps(study))
        connection.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'study'", (stored,))
    now = looked_up(table, grow=None, select={"top_k": 9})
    assert (now.select.rounds, now.search.grow) == (None, None)
    result = ns.search(now, storage=url(tmp_path))
    assert (result.protocol["select"]["rounds"], result.protocol["search"]["grow"]) == (3, 0)
    assert not grown(result)
    rounds = Counter(t.round for t in result.trials if t.chosen_by != CONTROL)
    assert rounds == {1: 2, 2: 2, 3: 2, 4: 3}, "what is added is one round more, as it was"
