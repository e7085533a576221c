"""What every input must come to: a result, or one line that says what is wrong with it; and soon."""

from __future__ import annotations

import itertools
import re
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

LONGEST = 1_000  # characters of a message
# C0 and C1 controls but tab and newline, what turns the direction of a text, and half characters.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Hang(BaseException):
    """An input took too long; no ``except Exception`` may swallow that."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `Hang` if the block takes longer."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault_of_message(text: str) -> str | None:
    """Return what is wrong with a message; None if nothing is."""
    if not text.strip():
        return "an empty message"
    if "\n" in text.strip():
        return "a message of several lines"
    if len(text) > LONGEST:
        return "a message over 1,000 characters"
    if UNPRINTABLE.search(text):
        return "a message with raw control characters"
    return None


def name_of(error: BaseException) -> str:
    """Return an exception with the place in the package, or else the last one, from which it came."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/nas_sens/" in f.filename] or frames
    where = f"{ours[-1].filename.rpartition('/nas_sens/')[2]}:{ours[-1].name}" if ours else "?"
    return f"{type(error).__name__} from {where}"


@dataclass
class Tally:
    """What a run of a fuzzer came to.

    Attributes:
        tried: Number of inputs.
        faults: What was wrong, how often.
        examples: An input for each.
    """

    tried: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Any] = field(default_factory=dict)

    def add(self, fault: str | None, example: Any) -> None:
        """Count an input, and its fault if it has one; the shortest example is kept."""
        self.tried += 1
        if fault is not None:
            self.faults[fault] += 1
            if fault not in self.examples or len(repr(example)) < len(repr(self.examples[fault])):
                self.examples[fault] = example

    @property
    def n_hangs(self) -> int:
        """Number of inputs that took too long."""
        return sum(n for fault, n in self.faults.items() if fault.startswith("hang"))

    def text(self) -> str:
        """Return the faults with an example each, for a failing test."""
        rows = [f"{n} x {fault}\n      {self.examples[fault]!r:.1500}" for fault, n in self.faults.most_common()]
        return f"{self.tried} tried\n" + "\n".join(rows)


def tally(inputs: SearchStrategy[Any], run: Callable[[Any], str | None], *, n: int, start: int = 0) -> Tally:
    """Return what ``n`` inputs came to; all of them are tried, whatever happens to some.

    Args:
        inputs: Where they are from.
        run: Returns what is wrong with what became of one.
        n: How many, all of them different.
        start: Of the pseudo-random numbers.
    """
    found, seen = Tally(), set()

    def each(value: Any) -> None:
        if repr(value) not in seen and found.tried < n:
            seen.add(repr(value))
            found.add(run(value), value)

    for number in itertools.count(start):  # Hypothesis gives some inputs twice
        options = settings(
            max_examples=max(100, n - found.tried),
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(options(given(inputs)(each)))()
        if found.tried >= n:
            return found
    raise AssertionError
