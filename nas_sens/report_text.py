"""Numbers and sentences of the report: what a study found, in words that claim no more than its intervals support."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .records import CONTROL, ScoredCandidate, TrainedCandidate, describe
from .statistics import Correlations, Difference, Interval, difference, log10_or_nan

MISSING = "–"
# name, attribute of TrainedCandidate, whether it is a loss (compared as log10)
OUTCOMES = (
    ("validation loss", "val_loss", True),
    ("test loss", "test_loss", True),
    ("validation error", "val_error", False),
    ("test error", "test_error", False),
)


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What losses, errors and the predicted loss are called, which depends on the task.

    Attributes:
        loss_unit: Unit of a loss, short enough for an axis.
        error_unit: Unit of an error, so too.
        figures: What losses and errors are, for the note above the table of networks.
        predicted_by: Where the predicted loss comes from.
        fits: When the prediction can be expected to fit.
    """

    loss_unit: str
    error_unit: str
    figures: str
    predicted_by: str
    fits: str


CLASSIFICATION = Wording(
    loss_unit="nats",
    error_unit="%",
    figures="Losses are mean cross-entropies in nats, errors shares of wrong predictions",
    predicted_by="eq. 9",
    fits="it fits networks that learnt their training set",
)
REGRESSION = Wording(
    loss_unit="MSE",
    error_unit="1 − R², %",
    figures=(
        "Losses are mean squared errors, in the target’s own units squared; errors are shares of unexplained variance, "
        "1 − R², where 0 % is perfect and 100 % no better than always predicting the mean"
    ),
    predicted_by="eq. 7",
    fits="with one output and no softmax it says more of the order of networks than of the size of the loss",
)


def wording_of(protocol: Mapping[str, Any]) -> Wording:
    """Return the wording for the task of a study's protocol, ``data.task``; classification where it is not said."""
    data = protocol.get("data")
    return REGRESSION if isinstance(data, Mapping) and data.get("task") == "regression" else CLASSIFICATION


_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, such as ``0.4512`` or ``3.551×10⁴``; a dash for none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits}g}".replace("-", "−") if abs(value) < 10**digits else f"{value:.0f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}×{power}".replace("-", "−")


def compact(value: float | None) -> str:
    """Return a large number with three significant digits and k, M, G or T, such as ``11.8k``; a dash for none."""
    if value is None or not math.isfinite(value):
        return MISSING
    for suffix in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return f"{value:.3g}{suffix}"
        value /= 1000
    return f"{value:.3g}T"


def count(value: int | None) -> str:
    """Return a whole number with thin spaces between thousands; a dash for none."""
    return MISSING if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, such as ``+0.61`` or ``−0.20``; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def plain(value: float | None, digits: int = 2) -> str:
    """Return a number with ``digits`` decimals and a proper minus sign, never a negative zero; a dash for none."""
    return MISSING if value is None else signed(value, digits).lstrip("+")


def interval_text(interval: Interval, scale: float = 1.0, digits: int = 2) -> str:
    """Return ``+0.61 [+0.12, +0.88]``, every number times ``scale``."""
    estimate, low, high = (signed(v * scale, digits) for v in (interval.estimate, interval.low, interval.high))
    return f"{estimate} [{low}, {high}]"


def percent(fraction: float | None, sd: float | None = None) -> str:
    """Return a fraction as ``12.30 %`` or, with a standard deviation, ``12.30 ± 0.40 %``; a dash for none."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    if abs(fraction) >= 10:  # a regression can be far worse than the mean
        return with_spread(number(100 * fraction), number(None if sd is None else 100 * sd, 2)) + "\N{NO-BREAK SPACE}%"
    spread = "" if sd is None or not math.isfinite(sd) else f" ± {100 * sd:.2f}"
    return f"{100 * fraction:.2f}{spread}\N{NO-BREAK SPACE}%"


def with_spread(value: str, spread: str) -> str:
    """Return ``value ± spread``, or only the value where the spread is missing."""
    return value if MISSING in (value, spread) else f"{value} ± {spread}"


def ranked(trained: Sequence[TrainedCandidate]) -> list[TrainedCandidate]:
    """Return the candidates whose training succeeded, the smallest validation loss first, ties by digest."""
    usable = [t for t in trained if t.is_ok and t.val_loss is not None and math.isfinite(t.val_loss)]
    return sorted(usable, key=lambda t: (t.val_loss, t.digest))


def counts_text(candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate]) -> str:
    """Return how many candidates were scored, infeasible and failed, and how many were trained and by what choice."""
    n_ok = sum(c.is_ok for c in candidates)
    n_infeasible = sum(not c.feasible for c in candidates)
    text = (
        f"{count(len(candidates))} unique candidates were drawn: {count(n_ok)} were scored, "
        f"{count(n_infeasible)} were infeasible and {count(len(candidates) - n_ok - n_infeasible)} failed. "
        if candidates
        else "No candidates have been scored yet. "
    )
    if not trained:
        return text + "None has been trained yet, so there is nothing to rank and no correlation to show."
    n_control = sum(t.chosen_by == CONTROL for t in trained)
    rules = sorted({t.chosen_by for t in trained} - {CONTROL})
    by = f" by the rule {' and '.join(rules)}" if rules else ""
    n_failed = len(trained) - len(ranked(trained))
    return (
        f"{text}{count(len(trained))} {'was' if len(trained) == 1 else 'were'} trained: "
        f"{len(trained) - n_control} selected{by} and {n_control} drawn at random as the control group"
        f"{f'; {n_failed} of these trainings failed' if n_failed else ''}."
    )


def best_text(trained: Sequence[TrainedCandidate]) -> str | None:
    """Return the best network by validation loss with its test figures, and by validation error if that is another."""
    ranking = ranked(trained)
    if not ranking:
        return None
    best = ranking[0]
    chooser = "drawn for the control group" if best.chosen_by == CONTROL else f"chosen by {best.chosen_by}"
    seeds = f"mean of {best.n_seeds} seeds" if best.n_seeds > 1 else "one seed"
    name = f"{describe(best.architecture)} ({chooser})"
    text = f"The best network by validation loss is {name}: {_test_figures(best)}, {seeds}."
    by_error = min((t for t in ranking if t.val_error is not None), key=lambda t: t.val_error or 0.0, default=best)
    if by_error.val_error == best.val_error:
        return text
    return (
        f"{text} By validation error it is another one, {describe(by_error.architecture)}: {_test_figures(by_error)}."
    )


def relation_texts(correlations: Mapping[str, Correlations]) -> list[str]:
    """Return what the Spearman correlations of log S before training show, one sentence per outcome.

    Args:
        correlations: Outcome, such as "test error", to the correlation of log10 S before training with it.
    """
    reasons = {c.reason for c in correlations.values()}
    if len(reasons) == 1 and (reason := reasons.pop()):
        return [f"Cannot be said: {reason}."]
    return [_relation_text(name, correlation) for name, correlation in correlations.items()]


def group_differences(trained: Sequence[TrainedCandidate]) -> dict[str, Difference]:
    """Return selected minus control for every outcome; losses as log10, errors as fractions. Less is better."""
    ok = [t for t in trained if t.is_ok]
    selected, control = ([t for t in ok if (t.chosen_by == CONTROL) is is_control] for is_control in (False, True))
    return {
        name: difference(*(log10_or_nan(v) if is_loss else v for v in ([getattr(t, key) for t in g] for g in groups)))
        for name, key, is_loss in OUTCOMES
        for groups in [(selected, control)]
    }


def verdict_text(name: str, d: Difference) -> str:
    """Return whether selection helped on one outcome: helped, hurt, nothing shown, or too few points to say.

    Args:
        name: The outcome, "test loss" or "test error".
        d: Selected minus control; log10 for a loss.
    """
    if d.interval is None or d.p_value is None:
        return f"On the {name}, there are too few points to say whether selection made a difference ({d.reason})."
    if name.endswith("error"):
        points = interval_text(d.interval, 100)
        found = f"mean of the selected group minus mean of the control group: {points} percentage points"
    else:
        low, middle, high = (number(10**v, 3) for v in (d.interval.low, d.interval.estimate, d.interval.high))
        found = f"the selected group's geometric mean is {middle} times [{low}, {high}] that of the control group"
    evidence = f"{found}; p = {p_text(d.p_value)}, {d.n_a} against {d.n_b} networks"
    if d.verdict is None:
        return f"On the {name}, there are too few points to say whether selection made a difference ({evidence})."
    verdict = {-1: "helped", 0: "did nothing that this study can show", 1: "hurt"}[d.verdict]
    return f"On the {name}, selection {verdict} ({evidence})."


def p_text(p_value: float) -> str:
    """Return a p-value with two significant digits, never as zero."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _test_figures(t: TrainedCandidate) -> str:
    error = percent(t.test_error, t.test_error_sd)
    loss = with_spread(number(t.test_loss), number(t.test_loss_sd, 2))
    return f"test error {error}, test loss {loss}"


def _relation_text(name: str, correlation: Correlations) -> str:
    rho = correlation.spearman
    if rho is None:
        return f"With the {name}: cannot be said ({correlation.reason})."
    head = f"With the {name}: Spearman {interval_text(rho)}"
    if not rho.excludes_zero:
        return f"{head}; the interval includes zero, so no relation is shown."
    return f"{head}; larger S went with {'larger' if rho.estimate > 0 else 'smaller'} {name}."
