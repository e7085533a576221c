"""Sentences of the report about the study itself: its units, its counts, its best network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.figures import BY_NAME, RANK_BY, Objective
from .numbers_as_text import count
from .shown_figures import Shown


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What losses, errors and the predicted loss are called, which depends on the task.

    Attributes:
        loss_unit: Unit of a loss, short enough for an axis.
        error_unit: Unit of an error, so too.
        figures: What losses and errors are, for the note above the table of networks.
        predicted_by: Where the predicted loss comes from.
        fits: When the prediction can be expected to fit.
        own: Names of figures of a trainer of the user's own, which are called what the user calls them.
    """

    loss_unit: str
    error_unit: str
    figures: str
    predicted_by: str
    fits: str
    own: frozenset[str] = frozenset()


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


SEVERAL_LABELS = replace(
    CLASSIFICATION,
    figures="Losses are binary cross-entropies in nats, means over labels; errors are shares of wrong labels",
)
ONE_HOT = replace(
    CLASSIFICATION,
    loss_unit="MSE",
    figures=(
        "Losses are mean squared distances of the outputs to one-hot targets, divided by the number of classes; errors "
        "are shares of wrong predictions"
    ),
)


BRIER = replace(
    CLASSIFICATION,
    loss_unit="Brier",
    figures=(
        "Losses are mean squared distances of the class probabilities to one-hot targets, summed over classes; errors "
        "are shares of wrong predictions"
    ),
)


OWN = replace(
    CLASSIFICATION,
    loss_unit="",
    figures="Figures are what the study’s own training gives, under its names; errors that are shares are in per cent",
)


def wording_of(protocol: Mapping[str, Any], own: Iterable[str] = ()) -> Wording:
    """Return the wording for a protocol's ``data.task`` and ``train.loss``; cross-entropy where it is not said.

    Args:
        protocol: The study as stored.
        own: Names of figures of a trainer of the user's own, if it has one.
    """
    data, train = protocol.get("data"), protocol.get("train")
    if (own := frozenset(own)) or (isinstance(train, Mapping) and train.get("trainer")):
        return replace(OWN, own=own)
    task = data.get("task") if isinstance(data, Mapping) else None
    if task in ("regression", "multilabel"):
        return REGRESSION if task == "regression" else SEVERAL_LABELS
    losses = {"mse": ONE_HOT, "brier": BRIER}
    return losses.get(str(train.get("loss")), CLASSIFICATION) if isinstance(train, Mapping) else CLASSIFICATION


RANKED_BY = {name: BY_NAME[name].label for name in RANK_BY if name in BY_NAME}
RANKED_BY["log10_sensitivity_after"] = "sensitivity after training"  # whose order its logarithm shares


def ranking_label(by: Objective) -> str:
    """Return what the figure is called that is ranked by."""
    return RANKED_BY.get(by.name, by.name)


def ranked_by_text(by: Objective) -> str:
    """Return what is ranked by, and which way if that is not what one expects."""
    return f"{ranking_label(by)}{', the largest first' if by.is_maximized else ''}"


def ranked(trained: Sequence[TrainedCandidate], by: Objective) -> list[TrainedCandidate]:
    """Return the candidates whose training succeeded, the best figure ``by`` first, ties by digest."""
    usable = [(v, t) for t in trained if t.is_ok and (v := t.figure(by.name)) is not None and math.isfinite(v)]
    return [t for _, t in sorted(usable, key=lambda pair: (by.as_loss(pair[0]), pair[1].digest))]


UNIQUE = "unique candidates were drawn"


def scored_text(protocol: Mapping[str, Any]) -> str:
    """Return what there are so many of: candidates, or trials of somebody's own Optuna study."""
    optuna = protocol.get("optuna")
    if not isinstance(optuna, Mapping):
        return UNIQUE
    n = optuna["pruned_before_the_first_report"]
    return f"trials of the Optuna study were looked at before training ({count(n)} pruned before their first report)"


def counts_text(
    candidates: Sequence[ScoredCandidate], trained: Sequence[TrainedCandidate], *, scored: str = UNIQUE
) -> str:
    """Return how many candidates were scored, infeasible and failed, and how many were trained and by what choice.

    Args:
        candidates: All of them.
        trained: The trained ones.
        scored: What the former are, and what was done with them.
    """
    n_ok = sum(c.is_ok for c in candidates)
    n_infeasible = sum(not c.feasible for c in candidates)
    n_grown = sum(c.grown_for is not None for c in candidates)
    grown = f" and {count(n_grown)} proposed between trainings, half of them or more near good ones" if n_grown else ""
    text = (
        f"{count(len(candidates) - n_grown)} {scored}{grown}: {count(n_ok)} were scored, "
        f"{count(n_infeasible)} were infeasible and {count(len(candidates) - n_ok - n_infeasible)} failed. "
        if candidates
        else "No candidates have been scored yet. "
    )
    if not trained:
        return text + "None has been trained yet, so there is nothing to rank and no correlation to show."
    n = Counter(t.group for t in trained)
    rules = sorted({t.chosen_by for t in trained if t.group == "selected"})
    others = sorted({t.chosen_by for t in trained if t.group == "other"})
    by = f" by the rule {' and '.join(rules)}" if rules else ""
    more = f", and {n['other']} neither ({', '.join(others)})" if others else ""
    n_failed = sum(not t.is_ok for t in trained)
    return (
        f"{text}{count(len(trained))} {'was' if len(trained) == 1 else 'were'} trained: "
        f"{n['selected']} selected{by} and {n['control']} drawn at random as the control group"
        f"{more}"
        f"{f'; {n_failed} of these trainings failed or were pruned' if n_failed else ''}."
    )


def best_text(trained: Sequence[TrainedCandidate], by: Objective, shown: Shown) -> str | None:
    """Return the first network of the ranking with its test figures, and the one by validation error if another.

    Of a trainer of the user's own it has all its figures.
    """
    ranking = ranked(trained, by)
    if not ranking:
        return None
    best = ranking[0]
    chosen_by = {"selected": f"chosen by {best.chosen_by}", "control": "drawn for the control group"}
    chooser = chosen_by.get(best.group, best.chosen_by)
    seeds = f"mean of {best.n_seeds} seeds" if best.n_seeds > 1 else "one seed"
    name = f"{best.description} ({chooser})"
    text = f"The best network by {ranking_label(by)} is {name}: {_figures(best, shown)}, {seeds}."
    if shown.is_own:
        return text
    by_error = min((t for t in ranking if t.val_error is not None), key=lambda t: t.val_error or 0.0, default=best)
    if by_error.val_error == best.val_error:
        return text
    return f"{text} By validation error it is another one, {by_error.description}: {_figures(by_error, shown)}."


def _figures(t: TrainedCandidate, shown: Shown) -> str:
    figures = shown.columns if shown.is_own else shown.judged
    return ", ".join(f"{figure.label} {figure.text_of(t)}" for figure in figures)
