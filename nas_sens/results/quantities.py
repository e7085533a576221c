"""Quantities of trained networks by name: the columns of ``SearchResult.frame``, parameters, and logarithms of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.candidates import ON_TRAIN, TrainedCandidate, list_text, part_of_list
from ..study.figure_spec import LOG10
from ..study.quantity_names import FIGURES, GAP, OVER, RECORD, parts_of


def value_of(t: TrainedCandidate, name: str) -> float | str | bool | None:
    """Return a quantity or parameter of a trained network; None where it has none, or no logarithm."""
    if name in t.figures:
        return t.figures[name]
    if name.startswith(LOG10) and name not in FIGURES:
        value = value_of(t, name.removeprefix(LOG10))
        return math.log10(value) if isinstance(value, (int, float)) and value > 0 else None
    found = _stored(t, name)
    if found is None and OVER in name:  # which a measure or parameter may have in its own name, too
        return _quotient(t, *parts_of(name))
    return found


def _stored(t: TrainedCandidate, name: str) -> float | str | bool | None:
    """Return what is stored under a name."""
    if name in FIGURES:
        figure: float | None = getattr(t, name)
        return figure
    if name.startswith(RECORD):
        return _record_mean(t, name.removeprefix(RECORD))
    if name.startswith("measure_"):
        return _measure_of(t, name.removeprefix("measure_"))
    values = json.loads(t.architecture)
    values |= {f"training_{key}": value for key, value in t.training.items()}
    found = part_of_list(values, name)
    return list_text(found) if isinstance(found, list) else found


def _quotient(t: TrainedCandidate, above: str, below: str) -> float | None:
    """Return one quantity divided by another; None where either is no number, or the second is 0."""
    one, other = number_of(t, above), number_of(t, below)
    return one / other if math.isfinite(one) and math.isfinite(other) and other != 0 else None


def _measure_of(t: TrainedCandidate, name: str) -> float | None:
    base = name.removesuffix(GAP)
    if name in t.measures or base == name:
        return t.measures.get(name)
    held_out, seen = t.measures.get(base), t.measures.get(base + ON_TRAIN)
    return None if held_out is None or seen is None else held_out - seen


def arrays_of(t: TrainedCandidate, record: str, epoch: int | None) -> Mapping[str, Any]:
    """Return the arrays of a record at an epoch, or at the end for None; empty where there is none."""
    epochs = t.records.get(record, {})
    if not epochs:
        return {}
    return epochs.get(max(epochs) if epoch is None else epoch, {})


def _record_mean(t: TrainedCandidate, name: str) -> float | None:
    """Return the mean of an array, called ``RECORD_FIELD``, at the end of training; None where it lacks a number."""
    course = record_course(t, name)
    return course[max(course)] if course else None


def record_course(t: TrainedCandidate, name: str) -> dict[int, float | None]:
    """Return the means of an array, called ``RECORD_FIELD``, by epoch; None where it lacks a number."""
    means: dict[int, float | None] = {}
    for record, epochs in t.records.items():
        if not name.startswith(record + "_"):
            continue
        for epoch, arrays in epochs.items():
            if (found := arrays.get(name.removeprefix(record + "_"))) is not None:
                values = np.array(found, dtype=float)  # None becomes not a number
                means[epoch] = float(values.mean()) if values.size and np.isfinite(values).all() else None
    return means


def number_of(t: TrainedCandidate, name: str) -> float:
    """Return a quantity as a number; NaN where there is none."""
    value = value_of(t, name)
    return float(value) if isinstance(value, (bool, int, float)) else math.nan
