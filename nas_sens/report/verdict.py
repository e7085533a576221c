"""Whether the proxy helped, in words that claim no more than the intervals and the permutation test support.

One outcome and one test are fixed beforehand, the mean of the test figure of the study's target (of the target itself
where trainings have no such figure) of the selected group against the control group; whatever else the page shows
changes no verdict. Differences are of losses (`outcomes.group_differences`) and are printed in the figure's own sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.candidates import REFINED, TrainedCandidate
from ..statistics.beside import Beside
from ..statistics.correlations import SIGNIFICANCE, Correlations
from ..statistics.groups import Difference
from ..statistics.interval import Interval
from .numbers_as_text import interval_text, number, number_interval_text, p_text, signed, signed_number
from .shown_figures import Shown, ShownFigure

RULES_WITHOUT_S = {"params", "random", REFINED}


def verdict_sentence(
    figure: ShownFigure, d: Difference, fit: Beside, trained: Sequence[TrainedCandidate], *, found: str | None = None
) -> str:
    """Return one sentence: the proxy helped here, did nothing that could be shown, hurt, or there are too few points.

    Args:
        figure: The outcome that decides.
        d: Selected against control on that outcome, smaller being better; log10 for a loss.
        fit: What log10 S before training says of that outcome beside the number of parameters.
        trained: The trained candidates, which say what rule selected.
        found: What the comparison shows, in words; the difference of means if None.
    """
    name = figure.label
    rules = sorted({t.chosen_by for t in trained if t.group == "selected"})
    if trained and all(t.group == "other" for t in trained):
        why = "no trained network was selected by it, and none was drawn as a control group"
        return f"Whether selecting by S helps cannot be said here: {why}{_carried(name, fit)}."
    if rules and RULES_WITHOUT_S.issuperset(rules):
        why = f"the rule {' and '.join(rules)} does not look at it"
        return f"Whether S helped cannot be said here: {why}{_carried(name, fit)}."
    rule = f"selecting by S (rule {' and '.join(rules)})" if rules else "selecting by S"
    if d.verdict is None:
        return f"Too few networks to say whether {rule} helped: {_why_too_few(d)}{_carried(name, fit)}."
    verdict = {-1: "helped", 0: "did nothing that could be shown", 1: "hurt"}[d.verdict]
    return f"{rule[0].upper() + rule[1:]} {verdict} here: {found or mean_text(figure, d)}{_carried(name, fit)}."


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
    if d.interval is None:
        return f"On {name}: too few networks to say ({d.reason})."
    evidence = f"{mean_text(figure, d)}"
    if figure.is_maximized is not None:
        evidence += f"; {best_difference_text(figure, d)}"
    if d.verdict is None:
        return f"On {name}: too few networks to say ({_why_too_few(d)}); {evidence}."
    words = ("better than", "not shown to differ from", "worse than")
    if figure.is_maximized is None:  # nobody said which is better
        words = ("smaller than in", "not shown to differ from", "larger than in")
    return f"On {name}: selected networks were {words[d.verdict + 1]} the control group; {evidence}."


def in_own_sign(figure: ShownFigure, interval: Interval) -> Interval:
    """Return a difference of losses as one of the figure itself, of which more may be better."""
    if not figure.is_maximized:
        return interval
    return Interval(-interval.estimate, -interval.high, -interval.low)


def mean_text(figure: ShownFigure, d: Difference) -> str:
    """Return the difference of the means with its interval and p-value, in the unit of the outcome."""
    if d.interval is None or d.p_value is None:
        return d.reason or "nothing to compare"
    name, interval = figure.label, in_own_sign(figure, d.interval)
    if figure.kind == "number":
        found = f"the mean {name} of selected minus control is {number_interval_text(interval)}"
    elif figure.kind == "error":
        found = f"the mean {name} of selected minus control is {interval_text(interval, 100)} percentage points"
    else:
        low, middle, high = (number(10**v, 3) for v in (interval.low, interval.estimate, interval.high))
        found = f"the geometric mean {name} of selected over control is {middle} [{low}, {high}]"
    return f"{found} (permutation p = {p_text(d.p_value)}, {d.n_a} against {d.n_b} networks)"


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


def _carried(name: str, fit: Beside) -> str:
    """Return the end of a sentence: whether S said anything of the outcome that the parameters do not say."""
    if fit.slope is None:
        return f"; whether S says more of it than the number of parameters cannot be said either ({fit.reason})"
    if not fit.slope.excludes_zero:
        return f"; beside the number of parameters, S is not shown to say anything of the {name}"
    return (
        f"; beside the number of parameters, S did carry information on the {name} (slope {interval_text(fit.slope)})"
    )


def _why_too_few(d: Difference) -> str:
    if d.interval is None or d.smallest_p_value is None:
        return d.reason or "nothing to compare"
    return f"{d.n_a} against {d.n_b} networks cannot reach p ≤ {SIGNIFICANCE}, whatever they show; 4 against 4 can"
