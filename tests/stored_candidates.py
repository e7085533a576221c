"""Candidates for tests of databases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

import nas_sens as ns
from nas_sens.core.candidates import ScoredCandidate, TrainedCandidate
from nas_sens.storage.study_storage import StudyStorage

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


def new_study(url: str, *, n: int = 0, name: str = "study", **settings: Any) -> StudyStorage:
    """Return a database with a new study that holds the candidates of widths 1 to n."""
    storage = StudyStorage(url, **settings)
    storage.create(name, ATTRIBUTES, objective="val_loss")
    storage.add_scored(name, [(scored(i), DISTRIBUTIONS) for i in range(1, n + 1)])
    return storage


def trainings_in(url: str, name: str = "study") -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a study that are trainings, as Optuna's public interface has them."""
    return [t for t in optuna.load_study(study_name=name, storage=url).trials if "candidate" in t.user_attrs]


def store_training(
    storage: StudyStorage, record: TrainedCandidate, artifacts: Mapping[str, Path] | None = None, *, name: str = "study"
) -> TrainedCandidate:
    """Return a finished training as it is stored, having gone through the queue."""
    assert storage.enqueue(name, [record], seen=storage.trainings(name)) == 1
    job = storage.take(name)
    assert job is not None
    assert job.training.digest == record.digest
    stored = storage.finish(name, job, record, artifacts or {})
    assert stored is not None
    return stored


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
