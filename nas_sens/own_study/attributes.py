"""What trials of somebody's own Optuna study say about their networks: user attributes, flat, with one prefix.

They are all there is: whatever is decided is a function of the trials, so that any number of machines may take part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..selection.candidates import Candidate

PREFIX = "nas_sens:"
SENSITIVITY, RELATIVE = f"{PREFIX}log10_sensitivity", f"{PREFIX}log10_relative_sensitivity"
STDERR = f"{PREFIX}stderr"  # of the log10 of the sensitivity, over networks
PARAMS, FLOPS, LAYERS = f"{PREFIX}params", f"{PREFIX}flops", f"{PREFIX}layers"
FAMILY = f"{PREFIX}family"
PROBE = f"{PREFIX}probe"  # what the weights of the measured networks were drawn by
MEASURE = f"{PREFIX}measure_"
PROBLEM = f"{PREFIX}problem"
DEAD = "dead"  # how the problem of a network begins whose sensitivity is 0
GROUP = f"{PREFIX}group"  # enqueued, startup, control, kept or pruned
REASON = f"{PREFIX}reason"  # why a trial was enqueued
PREDICTED, PREDICTED_SD = f"{PREFIX}predicted", f"{PREFIX}predicted_sd"


def is_scored(attributes: Mapping[str, Any]) -> bool:
    """Return whether a trial's user attributes say something of its network."""
    return PARAMS in attributes


def candidate_of(
    name: str,
    attributes: Mapping[str, Any],
    params: Mapping[str, Any],
) -> Candidate:
    """Return a scored trial as selection sees it: what was measured, and what it was suggested.

    Args:
        name: Identity of the trial.
        attributes: Its user attributes.
        params: Its parameters.
    """
    sensitivity = attributes.get(SENSITIVITY)
    is_dead = str(attributes.get(PROBLEM, "")).startswith(DEAD)
    features = {
        "log10_sensitivity": -math.inf if is_dead else math.nan if sensitivity is None else float(sensitivity),
        "log10_relative_sensitivity": float(attributes.get(RELATIVE, math.nan)),
        "layers": float(attributes.get(LAYERS, math.nan)),
    }
    features |= {f"log10_{key.removeprefix(PREFIX)}": _log10(attributes.get(key)) for key in (PARAMS, FLOPS)}
    features |= {k.removeprefix(PREFIX): float(v) for k, v in attributes.items() if k.startswith(MEASURE)}
    return Candidate(name, features, str(attributes.get(FAMILY, "")), dict(params))


def _log10(number: float | None) -> float:
    return math.nan if number is None else math.log10(max(number, 1))
