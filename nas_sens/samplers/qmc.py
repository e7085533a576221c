"""Scrambled Sobol' sequence: fills the space more evenly than random draws."""

from __future__ import annotations

from optuna.samplers import BaseSampler, QMCSampler

from ..study.sampler import Sampler


def make(seed: int) -> BaseSampler:
    """Return Optuna's sampler."""
    return QMCSampler(qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False)


SAMPLER = Sampler(name="qmc", make=make, description=__doc__)
