"""Scored candidates as selection sees them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        choices: What was chosen in the search space, by the parameter's name: numbers, booleans, words. One that a
            candidate does not have (another family's) is left out.
    """

    digest: str
    features: Mapping[str, float] = field(default_factory=dict)
    family: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)


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


def feature_values(candidates: Sequence[Candidate], name: str) -> Array:
    """Return one feature of all candidates, shape (n,); NaN where it is missing."""
    return np.array([c.features.get(name, math.nan) for c in candidates], dtype=np.float64)


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
