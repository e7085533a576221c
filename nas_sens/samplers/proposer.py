"""Proposals: which architecture to look at next, by an Optuna sampler in memory or by enumeration.

A proposer is a function of (space, sampler, seed, answers so far) alone. A study that is resumed runs it again from
the start and answers from what is stored, so that it continues exactly as if it had never stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from ..core.errors import InvalidInputError
from ..core.identity import derive_seed
from ..core.messages import shown
from ..storage.optuna_log import quiet_optuna
from ..study.proposal import Proposal
from ..study.sampler import AUTO, SAMPLERS

if TYPE_CHECKING:
    from ..study.search_space import SearchSpace

_ENUMERATE_AT_MOST = 2_000_000
_REPEATS_AT_MOST = 2_000
_REPEATS_BEFORE_RANDOM = 10


def sampler_of(space: SearchSpace, sampler: str, n_candidates: int) -> str:
    """Return the name of the sampler that is meant: ``auto`` is another one.

    Args:
        space: What is sampled from.
        sampler: Name of a sampler, or ``auto``.
        n_candidates: How many candidates are wanted.

    Raises:
        InvalidInputError: The space is too large to be enumerated.
    """
    size = space.cardinality
    if sampler == AUTO:
        return "enumerate" if size is not None and size <= min(n_candidates, _ENUMERATE_AT_MOST) else "random"
    if SAMPLERS.get(sampler).make is None and (size is None or size > _ENUMERATE_AT_MOST):
        raise InvalidInputError(
            f"sampler {sampler!r} needs a finite space of at most {_ENUMERATE_AT_MOST:,} combinations; "
            f"{space.name!r} has {_told(size)}; take another sampler"
        )
    return sampler


def _told(size: int | None) -> str:
    return "infinitely many" if size is None else f"{size:,}" if size < 10**30 else shown(size)


class Proposer:
    """Source of proposals.

    Args:
        space: Where architectures come from.
        sampler: ``auto`` enumerates a space of at most ``n_candidates`` combinations and samples others at random, so
            that statistics over candidates are those of a random sample. ``tpe``, ``nsga2`` and ``gp`` look for a
            small sensitivity.
        seed: Seed of the sampler.
        n_candidates: How many candidates are wanted; only ``auto`` looks at it.

    Raises:
        InvalidInputError: The space is too large to be enumerated.
    """

    def __init__(self, space: SearchSpace, *, sampler: str, seed: int, n_candidates: int) -> None:
        self.space = space
        self.sampler = sampler_of(space, sampler, n_candidates)
        self._seen: set[str] = set()
        self._repeats = 0
        self._grid: Iterator[dict[str, Any]] | None = None
        make = SAMPLERS.get(self.sampler).make
        if make is None:
            # In random order, so that the first candidates are a random sample of all.
            grid = list(space.enumerate())
            self._grid = iter([grid[i] for i in np.random.default_rng(seed).permutation(len(grid))])
        else:
            with warnings.catch_warnings(), quiet_optuna():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._random = RandomSampler(seed=seed)
                self._study = optuna.create_study(direction="minimize", sampler=make(seed))
                self._chance = optuna.create_study(sampler=RandomSampler(seed=derive_seed("chance", seed) % 2**32))

    def ask(self) -> Proposal | None:
        """Return the next proposal; None if the space is exhausted or gives nothing but repeats."""
        if self._grid is not None:
            params = next(self._grid, None)
            return None if params is None else self._proposal(params, None)
        if len(self._seen) == self.space.cardinality or self._repeats >= _REPEATS_AT_MOST:
            return None
        if self.sampler == "random":
            return self._proposal(self.space.draw(self._random), None)
        if self._repeats >= _REPEATS_BEFORE_RANDOM:
            # A sampler that looks for an optimum stays where it has found one: let chance say where it looks next.
            chance = self._chance.ask(self.space.all_distributions)
            self._study.enqueue_trial(chance.params)
        trial = self._study.ask(self.space.all_distributions)
        return self._proposal({k: trial.params[k] for k in self.space.trial_distributions(trial.params)}, trial)

    def tell(self, proposal: Proposal, value: float | None) -> None:
        """Give the sampler the objective of a proposal; None if it has none (infeasible, dead, non-finite)."""
        if proposal._trial is not None:
            if value is None:
                self._study.tell(proposal._trial, state=TrialState.FAIL)
            else:
                self._study.tell(proposal._trial, value)

    def _proposal(self, params: dict[str, Any], trial: Trial | None) -> Proposal:
        architecture = self.space.architecture(params)
        proposal = Proposal(params, architecture, False, trial, self.space.training_of(params))
        is_repeat = proposal.digest in self._seen
        self._repeats = self._repeats + 1 if is_repeat else 0
        self._seen.add(proposal.digest)
        return replace(proposal, is_repeat=is_repeat)
