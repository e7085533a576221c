"""Gaussian process: looks for a small sensitivity."""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler

from ..study.sampler import Sampler


def make(seed: int) -> BaseSampler:
    """Return Optuna's sampler."""
    return GPSampler(seed=seed, deterministic_objective=False)


SAMPLER = Sampler(name="gp", make=make, description=__doc__)
