"""A stage of the work as a terminal shows it: a bar, and below it the best so far and what runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichBars
from rich.text import Text

from ..core.progress import Live
from ..core.text import printable

_PLAIN_SECONDS = 10.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_MOST_BLOCKS = 24


def sparkline(values: Sequence[float]) -> str:
    """Return a curve as a row of blocks, the last values if there are many; "" for none that is finite."""
    shown = [v for v in values if v == v and abs(v) != float("inf")][-_MOST_BLOCKS:]
    if not shown:
        return ""
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(_BLOCKS[round((v - low) / span * (len(_BLOCKS) - 1))] for v in shown)


def duration(seconds: float) -> str:
    """Return a time as people say it, such as ``3 min 05 s``."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours} h {m:02d} min" if hours else f"{m} min {s:02d} s" if m else f"{s} s"


class _Left(ProgressColumn):
    """The time that is left: what the stage says of it, less what has passed since; else by the pace of the bar."""

    def __init__(self) -> None:
        super().__init__()
        self._by_pace = TimeRemainingColumn()

    def render(self, task: Task) -> RenderableType:
        until = task.fields["until"]
        if until is None or task.finished:
            return self._by_pace.render(task)
        return Text(f"{duration(until - time.monotonic())} left", style="progress.remaining")


class _Bars(RichBars):
    """A bar with lines below it."""

    lines: tuple[str, ...] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        for line in self.lines:
            yield Text(printable(line), no_wrap=True, overflow="ellipsis")


class RichStage:
    """A stage on a terminal.

    Args:
        bars: Where it is drawn.
        task: Its bar.
    """

    def __init__(self, bars: _Bars, task: Any) -> None:
        self._bars, self._task = bars, task

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count ``n`` more steps; the note is shown while nothing else tells what runs."""
        self._bars.update(self._task, advance=n, note="" if self._bars.lines else printable(note))

    def show(self, live: Live) -> None:
        """Show the best so far and what runs below the bar."""
        left = live.seconds_left
        lines = [f"best   {live.best}"] if live.best else []
        if live.running:
            last = f"{sparkline(live.curve)} {live.curve[-1]:.4g}  " if live.curve else ""
            lines.append(f"now    {live.step}  {last}{live.running}")
        self._bars.lines = tuple(lines)
        self._bars.update(self._task, note="", until=None if left is None else time.monotonic() + left)


@contextmanager
def rich_stage(console: Console, name: str, total: int) -> Iterator[RichStage]:
    """Open a stage on a terminal.

    Yields:
        The stage.
    """
    columns = (
        TextColumn("{task.description:<6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _Left(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with _Bars(*columns, console=console) as bars:
        yield RichStage(bars, bars.add_task(name, total=total, note="", until=None))


class PlainStage:
    """A stage as lines of a log, one in ten seconds at most.

    Args:
        say: Shows a line.
        name: The stage.
        total: Number of its steps.
        now: Returns seconds of a clock.
    """

    def __init__(
        self, say: Callable[[str], None], name: str, total: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._say, self._name, self._total = say, name, total
        self._done, self._note, self._live = 0, "", Live()
        self._start = self._shown = self._now()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count ``n`` more steps."""
        self._done += n
        self._note = note
        self._say_if_due()

    def show(self, live: Live) -> None:
        """Remember what the next line says."""
        self._live = live

    def close(self) -> None:
        """Say how long it took."""
        self._say(f"{self._name}: {self._done}/{self._total} done in {self._now() - self._start:.1f} s")

    def _say_if_due(self) -> None:
        if self._now() - self._shown <= _PLAIN_SECONDS:
            return
        self._shown = self._now()
        live, left = self._live, self._live.seconds_left
        parts = [
            *([f"about {duration(left)} left"] if left is not None else []),
            *([f"best {live.best}"] if live.best else []),
            *(
                [f"now {live.running or self._note}{live.step and f', {live.step}'}"]
                if live.running or self._note
                else []
            ),
        ]
        self._say(f"{self._name}: {self._done}/{self._total}{'; ' if parts else ''}{'; '.join(parts)}")
