"""What a terminal and a log show of a stage."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from nas_sens.cli.live_stage import PlainStage, duration, rich_stage, sparkline
from nas_sens.core.progress import Live

LIVE = Live(
    best="val_error 4.20 %, val_loss 0.15: cnn depth=3 \x1b[31m",
    running="fc depth=2",
    step="epoch 3 of 20",
    curve=(0.9, 0.5, 0.31),
    seconds_left=130.0,
)


def test_a_terminal_shows_bar_best_curve_and_time_left_and_obeys_no_name() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=110, color_system=None)
    with rich_stage(console, "train", 60) as stage:
        stage.advance(3, "a note")
        stage.show(LIVE)
        stage.advance(1, "a note")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    assert any("4/60" in line and re.search(r"2 min (10|09) s left", line) for line in lines)
    assert "best   val_error 4.20 %, val_loss 0.15: cnn depth=3 \\x1b[31m" in lines
    assert "now    epoch 3 of 20  █▃▁ 0.31  fc depth=2" in lines
    assert "\x1b[31m" not in screen.getvalue()
    assert max(map(len, lines)) <= 110


def test_a_log_has_a_line_now_and_then_that_says_the_same() -> None:
    said: list[str] = []
    clock = [0.0]
    stage = PlainStage(said.append, "train", 60, now=lambda: clock[0])
    stage.show(LIVE)
    stage.advance(3, "fc depth=2")
    assert said == []
    clock[0] = 11.0
    stage.advance(1, "fc depth=2")
    assert said == [f"train: 4/60; about 2 min 10 s left; best {LIVE.best}; now fc depth=2, epoch 3 of 20"]
    stage.close()
    assert said[-1] == "train: 4/60 done in 11.0 s"


@pytest.mark.parametrize(
    ("values", "blocks"),
    [([], ""), ([1.0], "▁"), ([0, 1], "▁█"), ([float("nan"), 2, float("inf"), 1], "█▁"), (range(100), 24)],
)
def test_a_sparkline_has_a_block_for_each_of_the_last_values(values: list[float], blocks: str | int) -> None:
    found = sparkline(values)
    assert (len(found) if isinstance(blocks, int) else found) == blocks


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3661, "1 h 01 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
