"""A warm start: the networks that a study trains first, chosen among many before any is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from ..core.errors import InvalidInputError
from ..core.identity import derive_seed
from .attributes import REASON
from .choice import begun, best, without_repeats
from .proposals import Build, Screen


def enqueue(
    study: Study,
    space: Mapping[str, BaseDistribution],
    build: Build,
    x: torch.Tensor,
    *,
    n_pool: int = 500,
    n: int = 10,
    y: torch.Tensor | None = None,
    metrics: Sequence[str] = (),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Score many random networks of a space and enqueue the ``n`` that a study should train first.

    They are chosen by the rule ``calibrated``, each as if those before it had come out as predicted: every other one is
    what is expected to be best, the ones between have the largest expected improvement. Before anything is trained it
    goes by what is usual elsewhere, that more capacity is better mostly; so it always does in a study of several
    objectives.

    Enqueued trials have the score and the reason as attributes, and no pruner of ours prunes them before they report.

    Args:
        study: Where to enqueue them.
        space: Parameter name to Optuna distribution: of those that ``build`` asks for, and of others that the objective
            does, such as a learning rate. What ``build`` asks for and is not there is drawn from what it asks for.
        build: From a trial to its untrained network, as for `SensitivitySampler`.
        x: Inputs (n, *input_shape), at least two, on the device of the networks.
        n_pool: Number of networks that are drawn and scored.
        n: Number of trials that are enqueued; fewer if the space has not as many different ones.
        y: Labels (n,), for further measures that need them.
        metrics: Names of further measures.
        seed: Seed of the draws.

    Returns:
        The parameters of the enqueued trials, in their order.

    Raises:
        InvalidInputError: A number is less than 1, the space holds something else than distributions, or none of the
            networks can be built.
    """
    if n < 1 or n_pool < 1:
        raise InvalidInputError(f"n and n_pool must be at least 1; given n = {n}, n_pool = {n_pool}")
    for name, distribution in space.items():
        if not isinstance(distribution, BaseDistribution):
            raise InvalidInputError(
                f"space[{name!r}] must be a distribution of optuna.distributions; given {type(distribution).__name__}"
            )
    screen, random = Screen(build, x, y, metrics), RandomSampler(seed=derive_seed("warm start", seed) % 2**32)
    nobody = create_trial(state=TrialState.RUNNING)

    def draw(name: str, asked: BaseDistribution) -> Any:
        return random.sample_independent(study, nobody, name, space.get(name, asked))

    proposals = screen.propose([draw] * n_pool, space)
    if not proposals:
        raise InvalidInputError(f"none of {n_pool} networks can be built; {screen.problem}; correct build or space")
    earlier = begun(study)
    chosen = best(study, earlier, without_repeats(proposals, earlier), screen, n=n)
    for proposal, pick in chosen:
        study.enqueue_trial(dict(proposal.params), user_attrs={**proposal.score.attributes, REASON: pick.reason})
    return [dict(proposal.params) for proposal, _ in chosen]
