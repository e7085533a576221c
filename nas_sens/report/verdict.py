"""How selected networks and the control group differ, and what S had to do with it, in words.

They claim no more than the intervals support. Differences are of losses (`outcomes.group_differences`) and are printed
in the figure's own sign.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..statistics.beside import Beside
from ..statistics.correlations import Correlations
from ..statistics.groups import Difference
from ..statistics.interval import Interval
from .numbers_as_text import interval_text, number, number_interval_text, p_text, signed, signed_number
from .shown_figures import Shown, ShownFigure


def directions_text(shown: Shown) -> str:
    """Return which way each figure goes, in words, and of which nobody said so."""
    by_direction = {
        "more is better of": [f.label for f in shown.figures if f.is_maximized],
        "less of": [f.label for f in shown.figures if f.is_maximized is False],
        "nobody said what is better of": [f.label for f in shown.figures if f.is_maximized is None],
    }
    return "; ".join(f"{words} {', '.join(names)}" for words, names in by_direction.items() if names)


def group_text(figure: ShownFigure, d: Difference) -> str:
    """Return what the comparison of selected and control shows on one outcome, as a sentence."""
    name = f"the {figure.label}" if figure.is_usual else figure.label
    if figure.better and not figure.is_usual:
        name = f"{name} ({figure.better})"
    if d.interval is None or d.verdict is None:
        return f"On {name}: too few networks to say ({d.reason})."
    evidence = f"{shift_text(figure, d)}"
    if figure.is_maximized is not None:
        evidence += f"; {best_difference_text(figure, d)}"
    words = ("better than", "not shown to differ from", "worse than")
    if figure.is_maximized is None:  # nobody said which is better
        words = ("smaller than in", "not shown to differ from", "larger than in")
    return f"On {name}: selected networks were {words[d.verdict + 1]} the control group; {evidence}."


def in_own_sign(figure: ShownFigure, interval: Interval) -> Interval:
    """Return a difference of losses as one of the figure itself, of which more may be better."""
    if not figure.is_maximized:
        return interval
    return Interval(-interval.estimate, -interval.high, -interval.low)


def amount_text(figure: ShownFigure, shift: float) -> str:
    """Return a typical difference in plain words, such as ``6.0 percentage points less test error``.

    Args:
        figure: The outcome.
        shift: Of losses, smaller being better; log10 of one that is a loss.
    """
    shift = figure.objective.as_loss(shift)
    how = "less" if shift < 0 else "more"
    if figure.kind == "error":
        points = abs(100 * shift)
        return f"{points:.2g} percentage point{'' if points == 1 else 's'} {how} {figure.label}"
    if figure.kind == "loss":
        return f"{abs(10**shift - 1) * 100:.2g} % {how} {figure.label}"
    return f"{number(abs(shift), 3)} {how} {figure.label}"


def shift_text(figure: ShownFigure, d: Difference) -> str:
    """Return the typical difference with its interval and p-value, in the unit of the outcome."""
    if d.interval is None or d.p_value is None:
        return d.reason or "nothing to compare"
    name, interval = figure.label, in_own_sign(figure, d.interval)
    if figure.kind == "number":
        found = f"{name} of a selected one minus that of a random one is typically {number_interval_text(interval)}"
    elif figure.kind == "error":
        text = interval_text(interval, 100)
        found = f"{name} of a selected one minus that of a random one is typically {text} percentage points"
    else:
        low, middle, high = (number(10**v, 3) for v in (interval.low, interval.estimate, interval.high))
        found = f"{name} of a selected one over that of a random one is typically {middle} [{low}, {high}]"
    return f"{found} (rank test p = {p_text(d.p_value)}, {d.n_a} against {d.n_b} networks)"


def best_difference_text(figure: ShownFigure, d: Difference) -> str:
    """Return the difference of the best with its p-value, in the unit of the outcome."""
    if d.best_a is None or d.best_b is None or d.best_p_value is None:
        return d.reason or "nothing to compare"
    gap = figure.objective.as_loss(d.best_a - d.best_b)
    if figure.kind == "number":
        found = f"best of {d.n_best} minus best of {d.n_best} is {signed_number(gap)}"
    elif figure.kind == "error":
        found = f"best of {d.n_best} minus best of {d.n_best} is {signed(100 * gap)} percentage points"
    else:
        found = f"best of {d.n_best} over best of {d.n_best} is {number(10**gap, 3)}"
    return f"{found} (p = {p_text(d.best_p_value)})"


def relation_texts(correlations: Mapping[str, Correlations], fits: Mapping[str, Beside]) -> list[str]:
    """Return what log10 S before training had to do with each outcome, alone and beside the number of parameters.

    Args:
        correlations: Outcome, such as "test error", to the correlation of log10 S before training with it.
        fits: Outcome to what log10 S says of it beside log10 parameters.
    """
    reasons = {c.reason for c in correlations.values()}
    if len(reasons) == 1 and (reason := reasons.pop()):
        return [f"Cannot be said: {reason}."]
    return [f"With the {name}: {_relation(name, c)} {slope_text(name, fits[name])}" for name, c in correlations.items()]


def slope_text(name: str, fit: Beside) -> str:
    """Return the fitted slope of log10 S beside log10 parameters in words, as a sentence."""
    if fit.slope is None:
        return f"Beside parameters: cannot be said ({fit.reason})."
    slope = f"slope {interval_text(fit.slope)} sd per sd"
    if not fit.slope.excludes_zero:
        return f"Beside parameters no relation is shown: {slope}."
    return f"Beside parameters, larger S went with {'larger' if fit.slope.estimate > 0 else 'smaller'} {name}: {slope}."


def _relation(name: str, c: Correlations) -> str:
    if c.spearman is None:
        return f"cannot be said ({c.reason})."
    head = f"Spearman {interval_text(c.spearman)}"
    if not c.spearman.excludes_zero:
        return f"{head}, so no relation is shown."
    return f"{head}, larger S went with {'larger' if c.spearman.estimate > 0 else 'smaller'} {name}."
