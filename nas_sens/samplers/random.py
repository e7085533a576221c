"""Independent draws from every distribution."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler

from ..study.sampler import Sampler


def make(seed: int) -> BaseSampler:
    """Return Optuna's sampler."""
    return RandomSampler(seed=seed)


SAMPLER = Sampler(name="random", make=make, is_independent=True, description=__doc__)
