"""Scored candidates as selection sees them."""

from __future__ import annotations

import json
import math

from ..architectures import FAMILIES
from ..core.candidates import ScoredCandidate
from . import Candidate


def selection_features(candidate: ScoredCandidate) -> Candidate:
    """Return a ranked candidate with its features: log10 of S, relative S, params, FLOPs; its measures; structure."""
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
    if candidate.trainable_layers is not None:
        features["trainable_layers"] = float(candidate.trainable_layers)
    features |= dict(candidate.measures)
    features |= FAMILIES.get(values["family"]).structure(values)
    numbers = {k: v for k, v in candidate.training.items() if isinstance(v, (bool, int, float))}
    features |= {f"training_{k}": float(v) for k, v in numbers.items()}
    return Candidate(candidate.digest, features, values["family"])
