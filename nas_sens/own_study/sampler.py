"""A sampler that looks at many untrained networks and proposes the one whose training promises most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from ..core.errors import InvalidInputError
from ..storage.user_attributes import set_user_attributes
from .attributes import is_scored
from .choice import begun, best, without_repeats
from .experience import FINISHED, signs
from .proposals import Build, Draw, Proposal, Screen

_BASE_SHARE = 8  # one in so many proposals is the base's: with a thousand trials one of TPE takes a tenth of a second
_N_LEADERS = 5  # trials near which proposals are drawn
_CHANGED = 0.3  # share of the parameters that are drawn anew near them, and at least one of them on average

_log = optuna.logging.get_logger(__name__)


class SensitivitySampler(BaseSampler):
    """Draws many proposals, builds and scores their networks, and proposes the one whose training promises most.

    One in eight proposals comes from ``base``; the others are random, or differ in some parameters from the trials that
    came out best. The rule ``calibrated`` chooses among them: in turn what is expected to be best and what has the
    largest expected improvement. It learns from the study's trained trials what sensitivity, size and parameters say
    here; before there are any, it goes by what is usual, that more capacity is better mostly. Trials that run meanwhile
    are believed to come out as predicted, so that parallel workers do not propose the same. All state is in the study;
    trials need not have been scored: what is missing is measured, and written into each trial that the sampler sees
    end.

    Args:
        build: From a trial to its untrained network: the function that the objective calls, which may ask for whatever
            it likes, conditionally too. It is called with trials of no study; it must not train.
        x: Inputs (n, *input_shape), at least two, on the device of the networks.
        base: Source of some of the proposals, and of parameters that no proposal has; Optuna's TPESampler if None.
        n_screen: Number of proposals for each trial.
        y: Labels (n,), for further measures that need them.
        metrics: Names of further measures (`nas_sens.metrics.metrics`).
        seed: Seed of the random proposals, and of the base where none is given.

    Raises:
        InvalidInputError: ``n_screen`` is less than 1.
    """

    def __init__(
        self,
        build: Build,
        x: torch.Tensor,
        base: BaseSampler | None = None,
        *,
        n_screen: int = 64,
        y: torch.Tensor | None = None,
        metrics: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        if n_screen < 1:
            raise InvalidInputError(f"n_screen must be at least 1; given {n_screen}")
        self._base = base if base is not None else TPESampler(seed=seed)
        self._random = RandomSampler(seed=seed)
        self._n_screen = n_screen
        self._screen = Screen(build, x, y, metrics)
        self._intersection = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        """Draw otherwise from now on, as the processes of a parallel study must."""
        self._base.reseed_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the parameters that ``build`` asks for, and those that all finished trials have."""
        self._raise_error_if_multi_objective(study)
        if not self._screen.space:
            for _ in range(self._n_screen):
                self._screen.follow(self._anywhere(study, trial))
            self._tell_failures(bool(self._screen.space))
        space = {**self._intersection.calculate(study), **self._screen.space}
        return {name: distribution for name, distribution in space.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the proposal that promises most; without those that its network does not have."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        earlier = begun(study, without=trial.number)
        proposals = self._proposals(study, trial, search_space, earlier)
        fresh = without_repeats(proposals, earlier) or without_repeats(proposals, [])
        if not fresh:
            return {}  # the objective will say why no network can be built
        [(chosen, _)] = best(study, earlier, fresh, self._screen)
        return {name: value for name, value in chosen.params.items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return what the base draws, for a parameter that no proposal has."""
        self._raise_error_if_multi_objective(study)
        return self._base.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Tell the base."""
        self._base.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Write what is known of the trial's network into it, unless it is there; tell the base."""
        if state in FINISHED and not is_scored(trial.user_attrs):
            proposal = self._screen.known(trial.params)
            set_user_attributes(study._storage, trial._trial_id, proposal.score.attributes if proposal else {})
        self._base.after_trial(study, trial, state, values)

    def _proposals(
        self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution], earlier: Sequence[FrozenTrial]
    ) -> list[Proposal]:
        parents = _leaders(study, earlier)
        n_base = math.ceil(self._n_screen / _BASE_SHARE)
        n_near = (self._n_screen - n_base) // 2 if parents else 0
        draws = [self._of_base(study, trial) for _ in range(n_base)]
        draws += [self._near(study, trial, parents[i % len(parents)]) for i in range(n_near)]
        draws += [self._anywhere(study, trial)] * (self._n_screen - n_base - n_near)
        found = self._screen.propose(draws, space)
        self._tell_failures(bool(found))
        return found

    def _anywhere(self, study: Study, trial: FrozenTrial) -> Draw:
        return lambda name, distribution: self._random.sample_independent(study, trial, name, distribution)

    def _near(self, study: Study, trial: FrozenTrial, parent: FrozenTrial) -> Draw:
        """Return draws that keep most of what a trial had."""
        anywhere, coin = self._anywhere(study, trial), FloatDistribution(0.0, 1.0)
        rate = max(_CHANGED, 1 / max(1, len(parent.params)))

        def draw(name: str, distribution: BaseDistribution) -> Any:
            is_kept = anywhere("", coin) >= rate
            return (
                parent.params[name]
                if is_kept and _fits(parent.params, name, distribution)
                else anywhere(name, distribution)
            )

        return draw

    def _of_base(self, study: Study, trial: FrozenTrial) -> Draw:
        space = self._base.infer_relative_search_space(study, trial)
        relative = self._base.sample_relative(study, trial, space) if space else {}

        def draw(name: str, distribution: BaseDistribution) -> Any:
            if _fits(relative, name, distribution):
                return relative[name]
            return self._base.sample_independent(study, trial, name, distribution)

        return draw

    def _tell_failures(self, any_worked: bool) -> None:
        if not any_worked and self._screen.problem:
            _log.warning(f"no proposal could be built; the last one: {self._screen.problem}")


def _fits(params: Mapping[str, Any], name: str, distribution: BaseDistribution) -> bool:
    """Return whether there is a value that a parameter can have."""
    if name not in params:
        return False
    if isinstance(distribution, CategoricalDistribution):
        return params[name] in distribution.choices
    return not isinstance(params[name], str) and distribution._contains(distribution.to_internal_repr(params[name]))


def _leaders(study: Study, earlier: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that came out best, best first."""
    [sign] = signs(study.directions)
    done = [t for t in earlier if t.values is not None]
    return sorted(done, key=lambda t: (sign * t.values[0], t.number))[:_N_LEADERS]
