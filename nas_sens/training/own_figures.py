"""Figures of trainers of the user's own: their names, and what a trainer returned as figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import torch

from ..core.candidates import TrainedCandidate
from ..core.errors import InvalidInputError
from ..core.figures import BY_NAME, KNOWN, is_figure_name
from ..core.messages import shown
from ..core.user_code import error_text

MOST = 100  # figures of a training
# What the tool itself says of a training; figures of its table that it takes from trainings may be given.
GIVEN = tuple(f.name for f in BY_NAME.values() if f.may_be_looked_up)
_TAKEN = ({f.name for f in fields(TrainedCandidate)} | {"worker", "feasible", *BY_NAME}) - set(GIVEN)
_PREFIXES, _SUFFIX = ("measure_", "training_", "log10_"), "_sd"


def check_name(name: object) -> None:
    """Check that a figure may have a name.

    Raises:
        InvalidInputError: It may not.
    """
    if not is_figure_name(name):
        raise InvalidInputError(
            f"a figure's name must be a letter, then letters, digits and _ . - @ /; given {shown(name)}"
        )
    text = str(name)
    if text in _TAKEN or text.startswith(_PREFIXES) or text.endswith(_SUFFIX):
        raise InvalidInputError(f"the figure {text!r} must be named otherwise: nas_sens keeps that name for its own")


def number_of(name: str, value: Any) -> float:
    """Return a figure as a number, which may be infinite or not a number.

    Raises:
        InvalidInputError: It is none.
    """
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except Exception as error:  # whatever a foreign object raises
        raise InvalidInputError(f"the figure {name!r} must be a number; {error_text(error)}") from error


def checked_figures(returned: Any, *, required: Iterable[str], source: str) -> dict[str, float]:
    """Return the finite figures that a trainer returned.

    Args:
        returned: Whatever it returned.
        required: Figures that it must return.
        source: Name of the trainer, for messages.

    Raises:
        InvalidInputError: It is no table of numbers, or one is missing.
    """
    if not isinstance(returned, Mapping):
        raise InvalidInputError(
            f"{source} must return figures by name, such as {{'val_error': 0.1}}; it returned "
            f"{shown(type(returned).__name__)}"
        )
    if len(returned) > MOST:
        raise InvalidInputError(f"{source} must return at most {MOST} figures; it returned {len(returned)}")
    for name in returned:
        check_name(name)
    figures = {name: number_of(name, value) for name, value in returned.items()}
    if missing := [name for name in required if name not in figures]:
        raise InvalidInputError(
            f"{source} must return {' and '.join(missing)}, by which [select] decides; it returned "
            f"{', '.join(figures) or 'no figure'}"
        )
    return {name: value for name, value in figures.items() if math.isfinite(value) or name in set(required)}


def fields_of(figures: Mapping[str, float]) -> dict[str, Any]:
    """Return figures as fields of an `Outcome`: the known ones by themselves, the others in ``figures``."""
    known = {name: value for name, value in figures.items() if name in KNOWN}
    return {**known, "figures": {name: value for name, value in figures.items() if name not in KNOWN}}
