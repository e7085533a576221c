"""Proposals: which architecture to look at next, by an Optuna sampler in memory or by enumeration.

A proposer is a function of (space, sampler, seed, answers so far) alone. A study that is resumed runs it again from
the start and answers from what is stored, so that it continues exactly as if it had never stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import Trial, TrialState

from ..architectures import ArchitectureSpec
from ..errors import InvalidInputError
from ..identity import derive_seed, digest
from ..optuna_log import quiet_optuna
from .distributions import FAMILY

if TYPE_CHECKING:
    from .search_space import SearchSpace

SamplerName = Literal["auto", "random", "qmc", "tpe", "nsga2", "gp", "enumerate"]

_ENUMERATE_AT_MOST = 2_000_000
_REPEATS_AT_MOST = 2_000
_REPEATS_BEFORE_RANDOM = 10


@dataclass(frozen=True)
class Proposal:
    """A proposed architecture.

    Attributes:
        params: The trial's parameters.
        architecture: What they mean.
        is_repeat: Whether the same candidate was proposed before.
        training: Keys of ``[train]`` that are searched with the architecture.
    """

    params: Mapping[str, Any]
    architecture: ArchitectureSpec
    is_repeat: bool
    _trial: Trial | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Identity of the candidate: that of the architecture, unless training is searched with it."""
        if not self.training:
            return self.architecture.digest
        return digest({"architecture": self.architecture.to_dict(), "training": dict(self.training)})


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

    def __init__(self, space: SearchSpace, *, sampler: SamplerName, seed: int, n_candidates: int) -> None:
        self.space = space
        size = space.cardinality
        if sampler == "auto":
            sampler = "enumerate" if size is not None and size <= n_candidates else "random"
        self.sampler = sampler
        self._seen: set[str] = set()
        self._repeats = 0
        self._grid: Iterator[dict[str, Any]] | None = None
        if sampler == "enumerate":
            if size is None or size > _ENUMERATE_AT_MOST:
                raise InvalidInputError(
                    f"sampler 'enumerate' needs a finite space of at most {_ENUMERATE_AT_MOST:,} combinations; "
                    f"{space.name!r} has {'infinitely many' if size is None else f'{size:,}'}; take another sampler"
                )
            # In random order, so that the first candidates are a random sample of all.
            grid = list(space.enumerate())
            self._grid = iter([grid[i] for i in np.random.default_rng(seed).permutation(len(grid))])
        else:
            # Samplers see one fixed set of dimensions, those of all families, of which a trial uses some: quasi-random
            # sequences and Gaussian processes need that, and the others gain nothing from less.
            family = {FAMILY: space.family_distribution} if space.family_distribution is not None else {}
            self._distributions = {
                **family,
                **{k: v for f in sorted(space.families) for k, v in space.distributions(f).items()},
                **space.training_distributions,
            }
            with warnings.catch_warnings(), quiet_optuna():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study = optuna.create_study(direction="minimize", sampler=_make_sampler(sampler, seed))
                self._chance = optuna.create_study(sampler=_make_sampler("random", derive_seed("chance", seed) % 2**32))

    def ask(self) -> Proposal | None:
        """Return the next proposal; None if the space is exhausted or gives nothing but repeats."""
        if self._grid is not None:
            params = next(self._grid, None)
            return None if params is None else self._proposal(params, None)
        if len(self._seen) == self.space.cardinality or self._repeats >= _REPEATS_AT_MOST:
            return None
        if self.sampler == "random":
            return self._proposal(self._random_params(), None)
        if self._repeats >= _REPEATS_BEFORE_RANDOM:
            # A sampler that looks for an optimum stays where it has found one: let chance say where it looks next.
            chance = self._chance.ask(self._distributions)
            self._study.enqueue_trial(chance.params)
        trial = self._study.ask(self._distributions)
        return self._proposal({k: trial.params[k] for k in self.space.trial_distributions(trial.params)}, trial)

    def _random_params(self) -> dict[str, Any]:
        """Return what a trial of the random sampler would have: the same numbers, ten times faster without a trial."""
        sampler = self._study.sampler
        nobody: Any = None  # the random sampler looks at neither study nor trial
        drawn = {k: sampler.sample_independent(self._study, nobody, k, d) for k, d in self._distributions.items()}
        return {k: drawn[k] for k in self.space.trial_distributions(drawn)}

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


def _make_sampler(name: str, seed: int) -> BaseSampler:
    samplers = optuna.samplers
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    if name == "qmc":
        return samplers.QMCSampler(qmc_type="sobol", scramble=True, seed=seed, warn_independent_sampling=False)
    if name == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True)
    if name == "nsga2":
        return samplers.NSGAIISampler(seed=seed)
    return samplers.GPSampler(seed=seed, deterministic_objective=False)
