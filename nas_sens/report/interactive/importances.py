"""Which searched parameters tell the best networks from the rest: PED-ANOVA (watanabe2023), as Optuna has it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from ...core.figures import Direction
from ...core.identity import derive_seed
from ..figure_style import thinned

LEAST, MOST, N_RESAMPLES = 20, 400, 20
_WIDE = 20.0  # a positive number that spans so much is looked at by its logarithm


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The share of one parameter.

    Attributes:
        name: The parameter.
        share: Of all importances, which add up to 1.
        low: 10 % quantile of that share over bootstrap resamples of the networks.
        high: 90 % quantile.
    """

    name: str
    share: float
    low: float
    high: float


def importances(
    rows: Sequence[Mapping[str, Any]], values: Sequence[float], *, is_maximized: bool
) -> list[Importance] | None:
    """Return the importance of every parameter that all rows have and that differs, the largest first.

    Args:
        rows: Parameters of each network by name.
        values: What each came to, finite.
        is_maximized: Whether more of it is better.

    Returns:
        None for fewer than ``LEAST`` networks, or where nothing differs.
    """
    if len(rows) < LEAST:
        return None
    pairs = thinned(list(zip(rows, values, strict=True)), MOST)
    distributions = {name: d for name, column in shared_columns([r for r, _ in pairs]).items() if (d := _of(column))}
    if not distributions or len({v for _, v in pairs}) < 2:
        return None
    trials = [
        create_trial(params={n: row[n] for n in distributions}, distributions=distributions, value=float(value))
        for row, value in pairs
    ]
    names = sorted(distributions)
    found = _shares(trials, names, is_maximized=is_maximized)
    rng = np.random.default_rng(derive_seed("importances"))
    draws = [
        _shares([trials[i] for i in rng.integers(len(trials), size=len(trials))], names, is_maximized=is_maximized)
        for _ in range(N_RESAMPLES)
    ]
    low, high = np.quantile(np.array(draws), (0.1, 0.9), axis=0)
    rows_ = [
        Importance(name=n, share=float(s), low=float(a), high=float(b))
        for n, s, a, b in zip(names, found, low, high, strict=True)
    ]
    return sorted(rows_, key=lambda r: (-r.share, r.name))


def shared_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values, row by row, of every parameter that all rows have and that is not the same in all."""
    names = [n for n in rows[0] if all(n in row for row in rows)] if rows else []
    columns = {n: [row[n] for row in rows] for n in names}
    return {n: column for n, column in columns.items() if len(set(map(repr, column))) > 1}


def is_wide(values: Sequence[float]) -> bool:
    """Return whether positive numbers span so much that they are looked at by their logarithms."""
    return min(values) > 0 and max(values) / min(values) >= _WIDE


def is_number(value: object) -> bool:
    """Return whether a value is a finite number, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _of(column: Sequence[Any]) -> BaseDistribution | None:
    """Return a distribution that a column may be drawn from; None for what Optuna has none for."""
    if all(map(is_number, column)):
        low, high = min(column), max(column)
        if all(isinstance(v, int) for v in column):
            return IntDistribution(low, high, log=low >= 1 and is_wide(column))
        return FloatDistribution(low, high, log=is_wide(column))
    if all(isinstance(v, (bool, int, float, str)) or v is None for v in column):
        return CategoricalDistribution(sorted(set(column), key=repr))
    return None


def _shares(trials: Sequence[FrozenTrial], names: Sequence[str], *, is_maximized: bool) -> list[float]:
    """Return the importances of parameters, which add up to 1; all the same where none has any."""
    study = _quiet_study("maximize" if is_maximized else "minimize")
    study.add_trials(trials)
    found = PedAnovaImportanceEvaluator().evaluate(study)
    values = np.array([max(0.0, found.get(n, 0.0)) for n in names])
    total = values.sum()
    return list(values / total) if total > 0 else [1 / len(names)] * len(names)


def _quiet_study(direction: Direction) -> optuna.Study:
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it tells of every study that is made
    try:
        return optuna.create_study(direction=direction, storage=optuna.storages.InMemoryStorage(), study_name="-")
    finally:
        logger.setLevel(level)
