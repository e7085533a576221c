"""Candidates on one scale: their features and what was chosen, by ranks in the pool, so that no unit matters.

Symbol, meaning, shape:

    x       normal scores of the features                                                          (N, p)
    c       what was chosen: normal scores of numbers, a column of 0 and 1 for every word          (N, q)
    t       capacity: normal score of the mean rank of what grows with it (CAPACITY)               (N,)
    g       number of the family; −1 for one that the pool lacks                                   (N,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from .candidates import Array, Candidate, feature_values

# Features that grow with what a network can represent. That more of it is better is a hypothesis (see `hypotheses`).
CAPACITY = ("log10_flops", "log10_params", "naswot")

_Columns = tuple[tuple[str, Array], ...]  # names, and of each all values that are there, sorted


@dataclass(frozen=True)
class Scale:
    """What puts candidates on one scale: how features and choices are distributed over a pool.

    Attributes:
        features: The features that vary over the pool, in alphabetical order, with their values, sorted.
        numbers: The choices that are numbers and vary, likewise.
        words: The other choices that vary, with what was chosen somewhere in the pool.
        capacity: Mean quantiles of the features in CAPACITY, sorted.
        families: The families of the pool, in alphabetical order.
    """

    features: _Columns
    numbers: _Columns
    words: tuple[tuple[str, tuple[str, ...]], ...]
    capacity: Array
    families: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order of the columns of x."""
        return tuple(name for name, _ in self.features)

    @property
    def n_choices(self) -> int:
        """Number of choices that vary."""
        return len(self.numbers) + len(self.words)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where N candidates stand; see the table of the module.

    Attributes:
        x: Features.
        choices: What was chosen.
        n_choices: Number of choices, which is not that of the columns.
        capacity: Capacity.
        groups: Numbers of the families.
        has_groups: Whether the pool has more than one family.
    """

    x: Array
    choices: Array
    n_choices: int
    capacity: Array
    groups: NDArray[np.int64]
    has_groups: bool

    def __len__(self) -> int:
        return len(self.groups)

    def part(self, which: Any) -> Places:
        """Return where some of them stand, by an index of rows."""
        return Places(
            x=self.x[which],
            choices=self.choices[which],
            n_choices=self.n_choices,
            capacity=self.capacity[which],
            groups=self.groups[which],
            has_groups=self.has_groups,
        )


def scale_of(pool: Sequence[Candidate]) -> Scale:
    """Return the scale of a pool; what does not vary over it is left out."""
    features: dict[str, Array] = {}
    for name in sorted({name for c in pool for name in c.features}):
        column = np.sort(feature_values(pool, name))
        column = column[~np.isnan(column)]
        if column.size and column[0] < column[-1]:
            features[name] = column
    numbers: dict[str, Array] = {}
    words: dict[str, tuple[str, ...]] = {}
    for name in sorted({name for c in pool for name in c.choices}):
        chosen = [c.choices.get(name) for c in pool]
        there = [v for v in chosen if v is not None]
        if len({repr(v) for v in there}) < 2 and len(there) == len(chosen):
            continue
        if all(_is_number(v) for v in there):
            numbers[name] = np.sort(np.array(there, dtype=np.float64))
        else:
            words[name] = tuple(sorted({repr(v) for v in there}))
    found = tuple(features.items())
    return Scale(
        features=found,
        numbers=tuple(numbers.items()),
        words=tuple(words.items()),
        capacity=np.sort(_mean_quantile(pool, found)),
        families=tuple(sorted({c.family for c in pool})),
    )


def place(candidates: Sequence[Candidate], scale: Scale) -> Places:
    """Return where candidates stand on a pool's scale; they need not be of the pool."""
    x = np.zeros((len(candidates), len(scale.features)))
    for j, (name, known) in enumerate(scale.features):
        x[:, j] = normal_scores(feature_values(candidates, name), known)
    columns: list[Array] = []
    for name, known in scale.numbers:
        values = [c.choices.get(name, math.nan) for c in candidates]
        given = [v if _is_number(v) else math.nan for v in values]
        columns.append(normal_scores(np.array(given, dtype=np.float64), known))
    for name, kinds in scale.words:
        chosen = [repr(v) if (v := c.choices.get(name)) is not None else None for c in candidates]
        columns += [np.array([v == kind for v in chosen], dtype=np.float64) for kind in kinds]
    numbers = {family: i for i, family in enumerate(scale.families)}
    return Places(
        x=x,
        choices=np.stack(columns, axis=1) if columns else np.zeros((len(candidates), 0)),
        n_choices=scale.n_choices,
        capacity=normal_scores(_mean_quantile(candidates, scale.features), scale.capacity),
        groups=np.array([numbers.get(c.family, -1) for c in candidates], dtype=np.int64),
        has_groups=len(scale.families) > 1,
    )


def normal_scores(values: Array, known: Array) -> Array:
    """Return values as normal scores of their ranks among those known, shape (n,).

    A value of mid-rank r among N becomes Φ⁻¹((r − ½) / N) (van der Waerden's score), so that neither outliers nor
    infinite values nor the unit matter; a missing value becomes 0, the median.

    Args:
        values: NaN where missing, shape (n,).
        known: Those of the pool, sorted, shape (N,).
    """
    scores = np.zeros(len(values))
    is_there = ~np.isnan(values)
    quantile = quantiles(values[is_there], known)
    scores[is_there] = ndtri(np.clip(quantile, 0.5 / known.size, 1 - 0.5 / known.size)) if known.size else 0.0
    return scores


def quantiles(values: Array, known: Array) -> Array:
    """Return halfway between the shares of smaller and of not larger values: of the pool's own (mid-rank − ½) / N."""
    below = np.searchsorted(known, values, side="left")
    up_to = np.searchsorted(known, values, side="right")
    return np.asarray((below + up_to) / 2 / max(1, known.size))


def _mean_quantile(candidates: Sequence[Candidate], features: _Columns) -> Array:
    """Return the mean quantile of the features that grow with capacity; ½ for one that a candidate lacks."""
    columns = [(feature_values(candidates, name), known) for name, known in features if name in CAPACITY]
    if not columns:
        return np.full(len(candidates), 0.5)
    ranks = [np.where(np.isnan(values), 0.5, quantiles(values, known)) for values, known in columns]
    return np.asarray(np.mean(ranks, axis=0))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
