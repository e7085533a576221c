"""Tree-structured Parzen estimator: looks for a small sensitivity."""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from ..study.sampler import Sampler


def make(seed: int) -> BaseSampler:
    """Return Optuna's sampler."""
    return TPESampler(seed=seed, multivariate=True)


SAMPLER = Sampler(name="tpe", make=make, description=__doc__)
