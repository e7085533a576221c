"""Ask and tell: a program of one's own does the trainings, and the study is like any other."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import torch
from click.testing import CliRunner

import nas_sens as ns
from nas_sens.cli.main import cli
from tests.tiny_study import FC, comparable, url

SPACE = ns.SearchSpace(name="s", families={"fc": FC})
PROBE = torch.randn(24, 6, generator=torch.Generator().manual_seed(0))
SCORE = ns.ScoreSpec(n_inputs=24, seeds=2)


def opened(folder: Path, **changes: object) -> ns.OpenSearch:
    values = {"target": "f1", "direction": "maximize", "n_outputs": 3, "top_k": 4, "control": 2, "rounds": 2}
    return ns.open_search(SPACE, probe=PROBE, storage=url(folder), score=SCORE, **{**values, **changes})


def f1_of(asked: ns.Asked) -> float:
    return asked.spec.width / 30 + asked.spec.depth / 100


def test_it_asks_until_all_is_told_and_the_study_is_like_any_other(tmp_path: Path) -> None:
    search = opened(tmp_path)
    search.score(12)
    n = 0
    while asked := search.ask():
        model = asked.build()
        assert model(PROBE).shape == (24, 3)
        asked.report(0.1)
        (tmp_path / "notes.txt").write_text(f"of {asked.number}")
        assert search.tell(
            asked, f1=f1_of(asked), test_f1=0.5, model=model, files={"notes.txt": tmp_path / "notes.txt"}
        )
        n += 1
    assert n == 6
    result = search.result()
    assert [t.chosen_by for t in result.trials].count("control") == 2
    told = [t.figures["f1"] for t in result.trials]
    assert told == sorted(told, reverse=True)
    assert result.best.curve == (0.1,)
    assert optuna.load_study(study_name="search", storage=url(tmp_path)).best_value == told[0]
    loaded = ns.load_model(url(tmp_path), "search", rank=1)
    assert loaded(PROBE).shape == (24, 3)
    search.score(12)  # again, and nothing is left
    assert search.ask() is None
    for command in (["report", "search", "-o", str(tmp_path / "r.html")], ["rank", "search"], ["status", "search"]):
        done = CliRunner().invoke(cli, [*command, "--storage", url(tmp_path)])
        assert done.exit_code == 0, done.output
    with pytest.raises(ns.InvalidInputError, match="told of by a program of its own"):
        ns.search(ns.StudySpec(name="search", search_space=SPACE, data=ns.DataSpec(name="probe"),
                               train=ns.TrainSpec(trainer="told")), storage=url(tmp_path))  # fmt: skip


def test_several_are_asked_for_at_once_and_what_is_not_told_waits_again(tmp_path: Path) -> None:
    with opened(tmp_path) as search:
        search.score(12)
        held = []
        while asked := search.ask():
            held.append(asked)
        assert len({a.number for a in held}) == 6
        for asked in held[:4]:
            search.tell(asked, f1=f1_of(asked))
    again = opened(tmp_path)
    again.score(12)
    left = []
    while asked := again.ask():
        left.append(asked.number)
        again.tell(asked, f1=f1_of(asked))
    assert sorted(left) == sorted(a.number for a in held[4:])


def test_whatever_it_is_interrupted_by_it_comes_to_the_same(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()

    def run(name: str, most: int) -> ns.SearchResult:
        with opened(tmp_path / name) as search:
            search.score(12)
            for _ in range(most):
                if asked := search.ask():
                    search.tell(asked, f1=f1_of(asked))
            return search.result()

    whole = run("whole", 9)
    for most in (1, 3, 9):
        parts = run("parts", most)
    assert len(whole.trials) == 6
    assert comparable(whole) == comparable(parts)


def test_pruned_and_failed_ones_are_told_of(tmp_path: Path) -> None:
    with opened(tmp_path) as search:
        search.score(12)
        first, second = search.ask(), search.ask()
        search.tell(first, state="pruned")
        search.tell(second, state="fail")
        assert {t.status for t in search.result().trials} == {"pruned by its own program", "failed: so it was told"}


def test_what_is_wrong_is_said_and_the_training_stays(tmp_path: Path) -> None:
    with opened(tmp_path) as search:
        search.score(12)
        asked = search.ask()
        wrong = [
            ({}, "must return f1"),
            ({"f1": float("nan")}, "f1 must be finite"),
            ({"f1": "high"}, "the figure 'f1' must be a number"),
            ({"f1": 1.0, "params": 3}, "must be named otherwise"),
            ({"f1": 1.0, "files": {"w": tmp_path / "nowhere"}}, "there is no"),
            ({"f1": 1.0, "state": "done"}, "state must be one of complete, pruned, fail"),
        ]
        for given, expected in wrong:
            with pytest.raises(ns.InvalidInputError, match=expected):
                search.tell(asked, **given)
        assert search.tell(asked, f1=1.0)
        with pytest.raises(ns.InvalidInputError, match="was told of already"):
            search.tell(asked, f1=1.0)
    with pytest.raises(ns.InvalidInputError, match="nothing is scored"):
        opened(tmp_path, name="other").ask()
    with pytest.raises(ns.InvalidInputError, match="probe"):
        ns.open_search(SPACE, probe="x", storage=url(tmp_path))
