"""Evolution: looks for a small sensitivity."""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler

from ..study.sampler import Sampler


def make(seed: int) -> BaseSampler:
    """Return Optuna's sampler."""
    return NSGAIISampler(seed=seed)


SAMPLER = Sampler(name="nsga2", make=make, description=__doc__)
