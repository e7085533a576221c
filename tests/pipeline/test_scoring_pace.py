"""How long the scoring still takes: what is said of it, and that a search says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas_sens.core.progress import Live
from nas_sens.pipeline.score_stage import score_candidates
from nas_sens.pipeline.scoring_pace import ScoringPace
from nas_sens.pipeline.search import open_study
from nas_sens.pipeline.settings import Settings
from tests.tiny_study import tiny, url


class Kept:
    """Progress that keeps what is shown."""

    def __init__(self) -> None:
        self.shown: list[Live] = []

    def message(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def advance(self, n: int = 1, note: str = "") -> None: ...

    @contextmanager
    def stage(self, name: str, total: int) -> Iterator[Kept]:
        yield self

    def show(self, live: Live) -> None:
        self.shown.append(live)


def test_a_search_says_how_long_the_rest_of_its_scoring_takes(tmp_path: Path) -> None:
    spec = tiny()
    for n in (6, 12):  # then it goes on
        more = replace(spec, search=replace(spec.search, n_candidates=n))
        session = open_study(more, storage=url(tmp_path), device="cpu", progress=(kept := Kept()),
                             settings=Settings(chunk_count=2))  # fmt: skip
        score_candidates(session)
        told = [live.seconds_left for live in kept.shown if live.seconds_left is not None]
        assert len(told) >= 3
        assert told[0] > 0
        assert told[-1] == 0.0


def test_the_pace_of_scoring_follows_what_was_scored_last() -> None:
    clock = [0.0]
    pace = ScoringPace(100, now=lambda: clock[0])
    assert pace.seconds_left is None
    clock[0] = 30.0  # the first one waits for what is compiled
    pace.count(1)
    for _ in range(59):
        clock[0] += 0.5
        pace.count(1)
    assert pace.seconds_left is not None
    assert 40 * 0.5 < pace.seconds_left < 40 * 0.85  # 40 of 1 second each by the mean of all
    for _ in range(40):
        clock[0] += 0.5
        pace.count(1)
    assert pace.seconds_left == 0.0


@pytest.mark.parametrize("chunk", [1, 7, 25])
def test_scoring_ends_when_it_was_told_to_in_the_second_half(chunk: int) -> None:
    draw = np.random.default_rng(chunk)
    seconds = np.exp(draw.normal(0, 0.5, 400)) * np.linspace(1, 1.5, 400)  # the sampler becomes slower
    clock, errors = [0.0], []
    pace = ScoringPace(400, now=lambda: clock[0])
    for start in range(0, 400, chunk):
        clock[0] += float(seconds[start : start + chunk].sum())
        pace.count(len(seconds[start : start + chunk]))
        if clock[0] >= seconds.sum() / 2 and pace.seconds_left is not None:
            errors.append(abs(clock[0] + pace.seconds_left - seconds.sum()) / seconds.sum())
    assert max(errors) < 0.2
