"""Candidates for tests of databases."""

from __future__ import annotations

import optuna

import nas_sens as ns
from nas_sens.core.candidates import ScoredCandidate, TrainedCandidate

DISTRIBUTIONS = {"width": optuna.distributions.IntDistribution(1, 100)}
ATTRIBUTES = {"space_digest": "abc", "study": "{}"}


def scored(width: int, **changes: object) -> ScoredCandidate:
    spec = ns.FCSpec(depth=1, width=width)
    values = {
        "digest": spec.digest,
        "architecture": spec.to_json(),
        "params": width,
        "flops": 2 * width,
        "log10_sensitivity": width / 7,
        "stderr": 0.1,
        "estimator": "monte_carlo",
        "params_sampled": {"width": width},
    }
    return ScoredCandidate(**{**values, **changes})


def trained(source: ScoredCandidate, **changes: object) -> TrainedCandidate:
    values = {
        "digest": source.digest,
        "architecture": source.architecture,
        "params": source.params,
        "flops": source.flops,
        "candidate": source.number,
        "chosen_by": "random",
        "val_loss": 1.0,
    }
    return TrainedCandidate(**{**values, **changes})
