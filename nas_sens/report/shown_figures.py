"""Which figures of the trainings a report shows, how each is printed, compared and judged.

The tool's own training has four: loss and error of validation and test inputs. A trainer of the user's own has others;
its report shows what it decides by first, then the figures of the test set, then the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..core.candidates import USUAL_CURVE, TrainedCandidate
from ..core.figures import BY_NAME, OUTCOMES, Objective, is_of_test
from ..statistics.bootstrap import Array
from ..statistics.correlations import as_floats, log10_or_nan
from ..study.select_spec import objective_of
from .numbers_as_text import number, percent, with_spread

MOST_FIGURES = 8  # of a trainer of the user's own: a table of more columns is no longer read
_HEADS = {"val_loss": "Val. loss", "val_error": "Val. error", "test_loss": "Test loss", "test_error": "Test error"}
_USUAL = ("val_loss", "test_loss", "val_error", "test_error")
_HELD_OUT = re.compile(r"(?:val|valid|validation|dev|eval)(?![A-Za-z0-9])")


@dataclass(frozen=True, kw_only=True)
class ShownFigure:
    """A figure of trainings as a report shows it.

    Attributes:
        key: Its name in the records.
        label: What it is called.
        kind: ``loss``, compared as log10 and drawn on a logarithmic axis; ``error``, a fraction that is printed in per
            cent; ``number``, as it is.
        is_maximized: Whether more of it is better; None where nobody said so.
    """

    key: str
    label: str
    kind: Literal["loss", "error", "number"]
    is_maximized: bool | None = False

    @property
    def head(self) -> str:
        """Heading of its column in the table of networks."""
        return _HEADS.get(self.key, self.label)

    @property
    def is_usual(self) -> bool:
        """Whether the tool knows what it is."""
        return self.key in BY_NAME

    @property
    def scaled_label(self) -> str:
        """What it is called where it is compared."""
        return f"log₁₀ {self.label}" if self.kind == "loss" else self.label

    @property
    def better(self) -> str:
        """Which way it goes, in words; "" where nobody said so."""
        return {None: "", False: "less is better", True: "more is better"}[self.is_maximized]

    @property
    def objective(self) -> Objective:
        """What makes it better; as if less were where nobody said so."""
        return Objective(self.key, bool(self.is_maximized))

    def scaled(self, trained: Sequence[TrainedCandidate]) -> Array:
        """Return the figure of each network as it is compared, shape (n,); NaN where there is none."""
        values = [t.figure(self.key) for t in trained]
        return log10_or_nan(values) if self.kind == "loss" else as_floats(values)

    def text(self, value: float | None, sd: float | None = None) -> str:
        """Return a value, with its standard deviation over seeds if there is one, as it is printed."""
        return percent(value, sd) if self.kind == "error" else with_spread(number(value), number(sd, 2))

    def text_of(self, t: TrainedCandidate) -> str:
        """Return the figure of a network as it is printed."""
        return self.text(t.figure(self.key), t.figure_sd(self.key))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The figures that a report shows.

    Attributes:
        figures: All of them, in the order of the columns of statistics.
        target: What the study's rule makes better.
        primary: What the verdict rests on: the figure of the test set that belongs to the target, else the target.
        curve: What the curves show.
        progress: What the best so far is told by.
        is_own: Whether they are of a trainer of the user's own.
        n_left_out: How many more there are.
        step: What values of a curve come after.
    """

    figures: tuple[ShownFigure, ...]
    target: ShownFigure
    primary: ShownFigure
    curve: ShownFigure
    progress: ShownFigure
    is_own: bool = False
    n_left_out: int = 0
    step: str = "epoch"

    @property
    def columns(self) -> tuple[ShownFigure, ...]:
        """The figures in the order of the table of networks: those of the test set last."""
        return tuple(sorted(self.figures, key=lambda f: is_of_test(f.key)))

    @property
    def judged(self) -> tuple[ShownFigure, ...]:
        """The figures by which groups are compared in words: those of the test set, and an own target."""
        if not self.is_own:
            return tuple(f for name in ("test_error", "test_loss") for f in self.figures if f.key == name)
        return tuple(f for f in self.figures if is_of_test(f.key) or f in (self.primary, self.target))

    @property
    def pictured(self) -> tuple[ShownFigure, ...]:
        """The figures that are drawn against S and size, at most two."""
        if not self.is_own:
            return tuple(f for name in ("test_loss", "test_error") for f in self.figures if f.key == name)
        return tuple(dict.fromkeys((self.primary, self.target, *self.figures)))[:2]


def shown_figures(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]) -> Shown:
    """Return the figures that the report of a study shows.

    Args:
        protocol: The study as stored.
        trained: Its trained networks, in an order that does not depend on the caller's.
    """
    if not _is_own(protocol, trained):
        usual = {name: _usual(name) for name in _USUAL}
        target = "val_loss" if objective_of(protocol).name == "val_loss" else "val_error"
        return Shown(
            figures=tuple(usual.values()),
            target=usual[target],
            primary=usual[target.replace("val", "test")],
            curve=usual[USUAL_CURVE],
            progress=usual[USUAL_CURVE],
        )
    ok = [t for t in trained if t.is_ok]
    objective = objective_of(protocol)
    twin = twin_of(objective.name, ok)
    goes = _directions(protocol, objective) | ({twin: objective.is_maximized} if twin else {})
    there = [name for name in OUTCOMES if any(t.figure(name) is not None for t in ok)]
    own = dict.fromkeys(name for t in ok for name in t.figures)
    rest = sorted([*there, *own], key=lambda name: not is_of_test(name))
    names = list(dict.fromkeys([objective.name, *([twin] if twin else []), *rest]))
    figures = {name: _own(name, goes, ok) for name in names[:MOST_FIGURES]}
    return Shown(
        figures=tuple(figures.values()),
        target=figures[objective.name],
        primary=figures[twin or objective.name],
        curve=_own(curve_name(trained), goes, ok, curves=[v for t in trained for v in t.curve]),
        progress=figures[objective.name],
        is_own=True,
        n_left_out=max(0, len(names) - MOST_FIGURES),
        step=str(protocol.get("train", {}).get("step", "epoch")),
    )


def twin_of(name: str, trained: Sequence[TrainedCandidate]) -> str | None:
    """Return the figure of the test set that belongs to one of the validation set, ``test_f1`` to ``val_f1``.

    Args:
        name: The figure.
        trained: The trained networks; all that have the figure must have the other, lest few be judged for all.
    """
    twin = _HELD_OUT.sub("test", name, count=1) if _HELD_OUT.match(name) else name
    having = [t for t in trained if t.figure(name) is not None]
    return twin if twin != name and having and all(t.figure(twin) is not None for t in having) else None


def curve_name(trained: Sequence[TrainedCandidate]) -> str:
    """Return the figure that most training curves show."""
    names = [t.curve_of for t in trained if t.curve]
    return max(sorted(set(names)), key=names.count) if names else USUAL_CURVE


def _is_own(protocol: Mapping[str, Any], trained: Sequence[TrainedCandidate]) -> bool:
    train = protocol.get("train")
    return (isinstance(train, Mapping) and bool(train.get("trainer"))) or any(t.figures for t in trained)


def _usual(name: str) -> ShownFigure:
    figure = BY_NAME[name]
    return ShownFigure(key=name, label=figure.label, kind="loss" if figure.unit == "loss" else "error")


def _directions(protocol: Mapping[str, Any], objective: Objective) -> dict[str, bool]:
    """Return which figures are maximised, as far as the study says it: of one objective, or of each of several."""
    select = protocol.get("select")
    told = select.get("directions") if isinstance(select, Mapping) else None
    several = {str(k): v == "maximize" for k, v in told.items()} if isinstance(told, Mapping) else {}
    return several | {objective.name: objective.is_maximized}


def _own(
    name: str, goes: Mapping[str, bool], trained: Sequence[TrainedCandidate], *, curves: Sequence[float] = ()
) -> ShownFigure:
    """Return a figure that a trainer of the user's own returned; what it called so need not be what we call so.

    Args:
        name: The figure.
        goes: Whether figures are maximised, of those of which that is known.
        trained: Networks.
        curves: Values that are to be shown, if they are not the figures of the networks.
    """
    values = [v for v in curves or (t.figure(name) for t in trained) if v is not None and math.isfinite(v)]
    if name not in BY_NAME:
        return ShownFigure(key=name, label=name, kind="number", is_maximized=goes.get(name))
    usual = _usual(name)
    is_so = all(v > 0 if usual.kind == "loss" else 0 <= v <= 1 for v in values)
    return replace(usual, kind=usual.kind if is_so else "number", is_maximized=goes.get(name, False))
