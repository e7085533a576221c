"""What the best network reaches, in the words of the task, with its standard error and where that comes from.

Two things make an error: trainings with other seeds end elsewhere, and other inputs would be judged otherwise. The
first is known where there are several seeds, the second where the share is of so many inputs of ours; what is known is
added as squares. The scatter over seeds has a part of the inputs' in it, so that the sum is rather too large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.candidates import TrainedCandidate
from ..core.figures import BY_NAME, Objective
from ..statistics.proportion import standard_error_of_share
from ..storage.attribute_types import LAST_RUN
from .numbers_as_text import count, number, with_spread
from .shown_figures import Shown

NARROW = "\N{NARROW NO-BREAK SPACE}"
_N_INPUTS = {"test_error": "n_test", "val_error": "n_val"}


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What a network reaches.

    Attributes:
        figure: With its error, such as ``93.0 ± 0.6 % accurate``.
        on: Of which inputs it is.
        error: What its error is of, or why it has none.
    """

    figure: str
    on: str
    error: str


def reached(best: TrainedCandidate, protocol: Mapping[str, Any], by: Objective, shown: Shown) -> Reached:
    """Return what a network reaches: its figure of the test set where there is one.

    Args:
        best: The network.
        protocol: The study as stored.
        by: What networks are ranked by.
        shown: The figures of the report.
    """
    if shown.is_own:
        figure = shown.primary
        error, of = _error(best, figure.key)
        text = f"{figure.label} {figure.text(best.figure(figure.key), error)}"
        return Reached(figure=text, on="As the study’s own training gives it", error=of)
    name, on = "test_error", "On test inputs"
    if best.test_error is None:
        name, on = "val_error", "On validation inputs, as there are no test inputs"
    value = best.figure(name)
    if value is None:
        error, of = _error(best, by.name)
        label = BY_NAME[by.name].label if by.name in BY_NAME else by.name
        text = with_spread(number(best.figure(by.name)), number(error, 2))
        return Reached(figure=f"{label} {text}", on="As the study ranks", error=of)
    if protocol.get("data", {}).get("task") == "regression":
        error, of = _error(best, name)
        return Reached(figure=f"R² {_rounded(1 - value, error, decimals=2)}".replace("-", "−"), on=on, error=of)
    error, of = _error(best, name, share=value, n_inputs=_n_inputs(protocol, name))
    per_cent = None if error is None else 100 * error
    return Reached(figure=f"{_rounded(100 * (1 - value), per_cent, decimals=1)}{NARROW}% accurate", on=on, error=of)


def _n_inputs(protocol: Mapping[str, Any], name: str) -> int | None:
    """Return how many inputs an error is of; None where others than ours may have been judged."""
    train, last = protocol.get("train", {}), protocol.get(LAST_RUN)
    if train.get("table") or train.get("trainer") or not isinstance(last, Mapping):
        return None
    return last.get(_N_INPUTS[name]) or None


def _error(
    best: TrainedCandidate, name: str, *, share: float = 0.0, n_inputs: int | None = None
) -> tuple[float | None, str]:
    """Return the standard error of a figure and what it is of; None and why there is none."""
    sd, squares, of = best.figure_sd(name), [], []
    if sd is not None and best.n_seeds > 1:
        squares.append(sd**2 / best.n_seeds)
        of.append(f"{best.n_seeds} seeds")
    if n_inputs is not None:
        squares.append(standard_error_of_share(share, n_inputs) ** 2)
        of.append(f"{count(n_inputs)} inputs")
    if not squares:
        return None, "its error is not known, as it was trained with one seed" if best.n_seeds == 1 else ""
    alone = "" if best.n_seeds > 1 else ", and one seed, of which others may scatter more"
    return math.sqrt(math.fsum(squares)), f"± is one standard error, of {' and '.join(of)}{alone}"


def _rounded(value: float, error: float | None, *, decimals: int) -> str:
    """Return a number and its error with decimals alike: one more where the error would be 0."""
    if error is None:
        return f"{value:.{decimals}f}"
    digits = decimals + (round(error, decimals) == 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
