"""The table of a training's figures: what a training comes to, one row a number.

Everything that summarises, looks up, ranks, draws, prints or describes trainings reads it. A new figure is a row here,
and a field of `training.outcome.Outcome` and `core.candidates.TrainedCandidate`; a test holds these together. Trainers
of the user's own have figures of other names beside these.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that a training comes to.

    Attributes:
        name: Its name in records, columns and declared figures.
        label: What it is called on axes and in tables, without its unit.
        unit: "loss" and "error" stand for what these are in a study (nats, a fraction, …); "" for none.
        seeds: How those of several trainings become one: "mean"; "mean_and_sd" for which the sample standard deviation
            is kept, too, as ``NAME_sd``; "derived" from other figures of all of them, or from the candidate.
        is_headline: Whether it is among the few that describe a network wherever it is named.
        may_be_looked_up: Whether a table of outcomes may have it.
    """

    name: str
    label: str
    unit: str = ""
    seeds: Literal["mean", "mean_and_sd", "derived"] = "mean"
    is_headline: bool = False
    may_be_looked_up: bool = False


FIGURES: tuple[Figure, ...] = (
    Figure(name="train_loss", label="training loss", unit="loss", may_be_looked_up=True),
    Figure(name="train_error", label="training error", unit="error", may_be_looked_up=True),
    *(
        Figure(
            name=f"{part}_{what}",
            label=f"{label} {what}",
            unit=what,
            seeds="mean_and_sd",
            is_headline=True,
            may_be_looked_up=True,
        )
        for part, label in (("val", "validation"), ("test", "test"))
        for what in ("loss", "error")
    ),
    Figure(name="generalization_gap", label="test error − training error", unit="fraction", seeds="derived"),
    Figure(name="predicted_loss", label="predicted loss", unit="loss", seeds="derived"),
    Figure(name="temperature", label="temperature"),
    *(
        Figure(
            name=f"log10_sensitivity_{when}",
            label=f"log₁₀ S {when} training",
            unit="output units²",
            seeds="derived",
            is_headline=True,
        )
        for when in ("before", "after")
    ),
)
BY_NAME = {figure.name: figure for figure in FIGURES}
KNOWN = frozenset(BY_NAME)
# By a curve of validation inputs that of the training set, which is drawn beside it.
OF_TRAINING = {"val_loss": "train_loss", "val_error": "train_error"}
ERRORS = frozenset(f.name for f in FIGURES if f.unit == "error")  # which are printed in per cent
OUTCOMES = tuple(f.name for f in FIGURES if f.seeds == "mean_and_sd")  # losses and errors of what is not trained on
HEADLINES = tuple(f for f in FIGURES if f.is_headline)
RANK_BY = ("val_loss", "val_error", "predicted_loss", "log10_sensitivity_after", "params")  # smaller is better


Direction = Literal["minimize", "maximize"]  # as Optuna calls them
_OWN = re.compile(r"[A-Za-z][A-Za-z0-9_.@/-]{0,59}")  # names of figures of a user's own


def is_figure_name(name: object) -> bool:
    """Return whether a figure of a user's own may have this name."""
    return isinstance(name, str) and _OWN.fullmatch(name) is not None


def is_of_test(name: str) -> bool:
    """Return whether a figure is of the test set, by its name: it is for the report, and decides nothing."""
    return re.match(r"test(?![a-z])", name, re.IGNORECASE) is not None


@dataclass(frozen=True)
class Objective:
    """A figure by which trainings are compared.

    Attributes:
        name: The figure.
        is_maximized: Whether larger is better.
    """

    name: str
    is_maximized: bool = False

    def as_loss(self, value: float) -> float:
        """Return a number that is smaller for what is better, and a value again for such a number."""
        return -value if self.is_maximized else value

    @property
    def direction(self) -> Direction:
        """The direction as Optuna calls it."""
        return "maximize" if self.is_maximized else "minimize"


def in_words(name: str, value: float) -> str:
    """Return a figure's value with its name as people say it: errors in per cent."""
    if name in ERRORS and 0 <= value < 10:
        return f"{name} {100 * value:.2f} %"
    return f"{name} {value:.4g}"


def sd_name(name: str) -> str:
    """Return the name under which a figure's standard deviation over seeds is kept."""
    return f"{name}_sd"
