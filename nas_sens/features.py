"""Scored candidates as selection sees them."""

from __future__ import annotations

import json
import math

from .records import ScoredCandidate
from .selection import Candidate

_COUNTED = ("depth", "stages", "blocks")  # declared numbers that mean the same within a family


def selection_features(candidate: ScoredCandidate) -> Candidate:
    """Return a ranked candidate with its features: log10 of S, relative S, params, FLOPs; declared depths; more."""
    assert candidate.log10_sensitivity is not None
    assert candidate.params is not None
    assert candidate.flops is not None
    values = json.loads(candidate.architecture)
    features = {
        "log10_sensitivity": candidate.log10_sensitivity,
        "log10_params": math.log10(max(candidate.params, 1)),
        "log10_flops": math.log10(max(candidate.flops, 1)),
    }
    if candidate.log10_relative_sensitivity is not None:
        features["log10_relative_sensitivity"] = candidate.log10_relative_sensitivity
    features |= dict(candidate.measures)
    features |= {k: float(values[k]) for k in _COUNTED if isinstance(values.get(k), (int, float))}
    return Candidate(candidate.digest, features, values["family"])
