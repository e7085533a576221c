"""Quantities of trained networks by name: the columns of ``SearchResult.frame``, parameters, and logarithms of them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from .declarations import nearest
from .errors import InvalidInputError
from .figure_spec import LOG10, OF_RECORDS, FigureSpec
from .records import EPOCH_CURVES, ON_TRAIN, TrainedCandidate

BY_DISTANCE = "_by_distance"  # behind an array that has means by the distance of inputs
RECORD = "record_"  # how the mean of an array of a record is called: record_points_loss
FIGURES = (
    *("params", "flops", "train_loss", "train_error", "val_loss", "val_error", "test_loss", "test_error"),
    *("generalization_gap", "predicted_loss", "temperature", "log10_sensitivity_before", "log10_sensitivity_after"),
)
GAP = (
    "_gap"  # behind a measure that is taken on both sets: its value on validation inputs minus that on training inputs
)


def value_of(t: TrainedCandidate, name: str) -> float | str | bool | None:
    """Return a quantity or parameter of a trained network; None where it has none, or no logarithm."""
    if name.startswith(LOG10) and name not in FIGURES:
        value = value_of(t, name.removeprefix(LOG10))
        return math.log10(value) if isinstance(value, (int, float)) and value > 0 else None
    if name in FIGURES:
        found: float | None = getattr(t, name)
        return found
    if name.startswith(RECORD):
        return _record_mean(t, name.removeprefix(RECORD))
    if name.startswith("measure_"):
        return _measure_of(t, name.removeprefix("measure_"))
    values = json.loads(t.architecture)
    values |= {f"training_{key}": value for key, value in t.training.items()}
    return values.get(name)


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


def check_figures(
    figures: Iterable[FigureSpec],
    *,
    parameters: Collection[str],
    training: Collection[str],
    measures: Collection[str],
    records: Mapping[str, Collection[str]],
    epochs: Collection[int | None] = (None,),
) -> None:
    """Raise an InvalidInputError unless a study has the quantities that its figures ask for.

    Args:
        figures: As declared.
        parameters: Names of the parameters of the architectures.
        training: Names of what is searched with them.
        measures: Names under which measures of the trained networks are stored.
        records: Names of records of the trained networks, to the names of their arrays.
        epochs: At which these are taken, None standing for the end.
    """
    gaps = [m + GAP for m in measures if m + ON_TRAIN in measures]
    measured = [f"measure_{m}" for m in (*measures, *gaps)]
    valid = [*FIGURES, "family", *parameters, *(f"training_{t}" for t in training), *measured]
    arrays = [f"{RECORD}{record}_{field}" for record, names in records.items() for field in names]
    valid += arrays
    for i, figure in enumerate(figures, 1):
        for name in figure.quantities:
            if name not in valid and name.removeprefix(LOG10) not in valid:
                raise InvalidInputError(f"figure {i} has no quantity {name!r}; {nearest(name, valid)}")
        if figure.kind in OF_RECORDS:
            _check_record(figure, i, records)
            for epoch in (figure.epoch, *figure.epochs):
                if epoch not in epochs:
                    raise InvalidInputError(
                        f"figure {i} needs an epoch of [train] record_epochs, or none for the end; given {epoch}"
                    )
        curves = (*EPOCH_CURVES, *measures, *arrays)
        for name in (figure.x, figure.y, *figure.lines) if figure.kind == "curve" else ():
            if name and name not in curves:
                raise InvalidInputError(f"figure {i} has no curve {name!r}; {nearest(name, curves)}")


def _check_record(figure: FigureSpec, place: int, records: Mapping[str, Collection[str]]) -> None:
    if figure.record not in records:
        there = nearest(figure.record, records) if records else "[train] record names none"
        raise InvalidInputError(f"figure {place} has no record {figure.record!r}; {there}")
    for name in (figure.x, figure.y, *figure.lines):
        if name and name not in records[figure.record]:
            hint = nearest(name, records[figure.record])
            raise InvalidInputError(f"figure {place} has no array {name!r} of record {figure.record!r}; {hint}")
    if figure.kind == "distance" and figure.y + BY_DISTANCE not in records[figure.record]:
        raise InvalidInputError(
            f"figure {place} needs stiffness as y, such as 'train_train_cosine'; given {figure.y!r}"
        )
