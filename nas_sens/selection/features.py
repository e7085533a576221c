"""Scored candidates as selection sees them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..architectures import FAMILIES
from ..core.candidates import ScoredCandidate
from . import Candidate


def selection_features(candidate: ScoredCandidate) -> Candidate:
    """Return a ranked candidate: log10 of S, relative S, params, FLOPs; its measures; structure; what was chosen."""
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
    return Candidate(candidate.digest, features, values["family"], choices_of(values, candidate.training))


def choices_of(values: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was chosen in the search space, by name; of a list every place is a choice of its own.

    Parameters of a family belong to it: what has the same name in two families need not mean the same.

    Args:
        values: The architecture's own values, as its JSON has them.
        training: What is searched of the training with it.
    """
    family = values["family"]
    chosen: dict[str, Any] = {}
    named = {f"{family}.{k}": v for k, v in values.items() if k != "family"}
    for name, value in {**named, **{f"training.{k}": v for k, v in training.items()}}.items():
        if isinstance(value, (list, tuple)):
            chosen |= {f"{name}.{i}": v for i, v in enumerate(value)}
        else:
            chosen[name] = value
    return chosen
