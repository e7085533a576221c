"""Scored candidates as selection sees them, and their features on one scale."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..core.errors import InvalidInputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A scored candidate as selection sees it.

    Attributes:
        digest: Identity of the architecture.
        features: Feature name to value: ``log10_sensitivity``, ``log10_params``, …. Rules that learn take a NaN for a
            missing value, and an infinite one for the smallest or largest.
        family: Architecture family.
    """

    digest: str
    features: Mapping[str, float] = field(default_factory=dict)
    family: str = ""


@dataclass(frozen=True)
class Pick:
    """A candidate to train.

    Attributes:
        digest: Identity of the architecture.
        reason: Why it was chosen, in words.
        predicted_mean: Predicted target, if the rule predicts one.
        predicted_sd: Its standard deviation.
    """

    digest: str
    reason: str
    predicted_mean: float | None = None
    predicted_sd: float | None = None


@dataclass(frozen=True)
class FeatureScale:
    """What puts features on one scale: their distributions over a pool of candidates.

    Attributes:
        names: The features that vary over the pool, in alphabetical order.
        values: Of each feature all values that are there, sorted.
        families: The families of the pool, in alphabetical order.
    """

    names: tuple[str, ...]
    values: tuple[Array, ...]
    families: tuple[str, ...]


def feature_scale(pool: Sequence[Candidate]) -> FeatureScale:
    """Return the scale of the features of a pool; features that do not vary over it are left out."""
    scale: dict[str, Array] = {}
    for name in sorted({name for c in pool for name in c.features}):
        column = np.sort(feature_values(pool, name))
        column = column[~np.isnan(column)]
        if column.size and column[0] < column[-1]:
            scale[name] = column
    return FeatureScale(tuple(scale), tuple(scale.values()), tuple(sorted({c.family for c in pool})))


def feature_values(candidates: Sequence[Candidate], name: str) -> Array:
    """Return one feature of all candidates, shape (n,); NaN where it is missing."""
    return np.array([c.features.get(name, math.nan) for c in candidates], dtype=np.float64)


def normal_scores(candidates: Sequence[Candidate], scale: FeatureScale) -> Array:
    """Return the features of candidates as normal scores of their ranks in the pool, shape (n, p).

    A value of mid-rank r among the N of the pool becomes Φ⁻¹((r − ½) / N) (van der Waerden's score), so that neither
    outliers nor infinite values nor the unit of a feature matter; a missing value becomes 0, the pool's median.
    """
    scores = np.zeros((len(candidates), len(scale.names)))
    for j, (name, known) in enumerate(zip(scale.names, scale.values, strict=True)):
        column = feature_values(candidates, name)
        is_there = ~np.isnan(column)
        below = np.searchsorted(known, column[is_there], side="left")
        up_to = np.searchsorted(known, column[is_there], side="right")
        # Halfway between the numbers of smaller and of not larger values: the mid-rank less ½, for members of the pool.
        quantile = (below + up_to) / 2 / known.size
        scores[is_there, j] = ndtri(np.clip(quantile, 0.5 / known.size, 1 - 0.5 / known.size))
    return scores


def family_numbers(candidates: Sequence[Candidate], scale: FeatureScale) -> NDArray[np.int64]:
    """Return the number of each candidate's family in the scale, shape (n,); −1 for a family that the pool lacks."""
    numbers = {family: i for i, family in enumerate(scale.families)}
    return np.array([numbers.get(c.family, -1) for c in candidates], dtype=np.int64)


def in_fixed_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates sorted by digest, so that the order of the input does not matter.

    Raises:
        InvalidInputError: Two candidates have the same digest.
    """
    fixed = sorted(candidates, key=lambda c: c.digest)
    for a, b in itertools.pairwise(fixed):
        if a.digest == b.digest:
            raise InvalidInputError(f"candidates must differ in their digests; {a.digest!r} is given twice")
    return fixed
