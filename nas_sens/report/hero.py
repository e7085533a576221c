"""The answer of a study in one line, with what belongs to its best network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from ..core.candidates import TrainedCandidate
from ..core.compact import compact
from ..core.figures import Objective
from ..core.short_names import short_names
from ..storage.attribute_types import LAST_RUN
from .drawing import Block, blocks
from .numbers_as_text import number
from .reached import NARROW, reached
from .shown_figures import Shown
from .text import ranked, ranking_label


@dataclass(frozen=True, kw_only=True)
class Hero:
    """The best network of a study.

    Attributes:
        figure: What it reaches with its error, such as ``93.0 ± 0.6 % accurate``.
        facts: Its size and speed.
        name: Its short name.
        description: What it is in full.
        on: Of which inputs the figure is, what its error is of, and how the network was chosen.
        export: Command that writes it to a folder; None for somebody's own Optuna study.
        drawing: Its blocks; none where they are not known.
        network: The record.
    """

    figure: str
    facts: tuple[str, ...]
    name: str
    description: str
    on: str
    export: str | None
    drawing: tuple[Block, ...]
    network: TrainedCandidate

    @property
    def reached(self) -> str:
        """Its figure, size and speed."""
        return " · ".join((self.figure, *self.facts))

    @property
    def line(self) -> str:
        """All in one line."""
        return f"{self.reached} — {self.description}".replace(NARROW, " ")


def hero(
    name: str, protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate], by: Objective, shown: Shown
) -> Hero | None:
    """Return the best network of a study; None where none is trained.

    Args:
        name: The study.
        protocol: The study as stored.
        trained: Its trained networks.
        by: What they are ranked by.
        shown: The figures of the report.
    """
    best = next(iter(ranked(trained, by)), None)
    if best is None:
        return None
    found = reached(best, protocol, by, shown)
    error = f"{found.error}; " if found.error else ""
    seeds = f", mean of {best.n_seeds} seeds" if best.n_seeds > 1 else ""
    which = "most" if by.is_maximized else "least"
    chosen = {"selected": f"selected by the rule {best.chosen_by}", "control": "drawn at random"}
    n_ok = sum(t.is_ok for t in trained)
    among = f"{which} {ranking_label(by)} of {n_ok} trained networks" if n_ok > 1 else "the only trained network"
    last = protocol.get(LAST_RUN)
    known = isinstance(last, Mapping) and last.get("digest") == best.digest
    return Hero(
        figure=found.figure,
        facts=_facts(best, protocol),
        name=short_names(list(trained))[list(trained).index(best)],
        description=best.description,
        on=f"{found.on}{seeds}; {error}{among}, {chosen.get(best.group, f'chosen by {best.chosen_by}')}.",
        export=None if "optuna" in protocol else f"nas-sens export {quote(name)} --rank 1 -o my_network",
        drawing=tuple(blocks(last["outline"])) if isinstance(last, Mapping) and known else (),
        network=best,
    )


def _facts(best: TrainedCandidate, protocol: Mapping[str, Any]) -> tuple[str, ...]:
    timed = protocol.get("latency_ms")
    ms = timed.get(best.digest) if isinstance(timed, Mapping) else None
    facts = (
        "" if best.params is None else f"{_spaced(best.params)} parameters",
        "" if best.flops is None else f"{_with_prefix(best.flops)}FLOPs",
        "" if ms is None else f"{number(ms, 2)}{NARROW}ms",
    )
    return tuple(fact for fact in facts if fact)


def _spaced(value: float) -> str:
    """Return a large number with its prefix apart, such as ``204 k``."""
    text = compact(value)
    return f"{text[:-1]}{NARROW}{text[-1]}" if text[-1].isalpha() else text


def _with_prefix(value: float) -> str:
    """Return a large number up to its unit, such as ``6.7 M`` or, with a space behind it, ``830``."""
    text = _spaced(value)
    return text if text[-1].isalpha() else f"{text}{NARROW}"
