"""Networks that might be trained: drawn by following a user's own ``build(trial)``, built, and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial
from torch import nn

from ..core.errors import InvalidInputError
from ..core.identity import canonical_json
from ..core.random_state import global_stream
from ..core.user_code import error_text
from ..metrics._left_as_found import surroundings_as_found
from ..selection.candidates import Candidate
from .attributes import candidate_of
from .score import Scored, scored

Build = Callable[[BaseTrial], nn.Module]
Draw = Callable[[str, BaseDistribution], Any]
_MOST_KEPT = 20_000  # scores, some hundred bytes each
_BUILD_SEED = 0  # weights are drawn anew for the score, unless there is no rule for them


class Drawn(FixedTrial):
    """A trial in no study: what it is asked for and was not given, it draws."""

    def __init__(self, draw: Draw | None, given: Mapping[str, Any] | None = None, number: int = 0) -> None:
        super().__init__(dict(given or {}), number=number)
        self._draw = draw

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self._params and self._draw is not None:
            self._params[name] = self._draw(name, distribution)
        return super()._suggest(name, distribution)


@dataclass(frozen=True)
class Proposal:
    """A network that might be trained.

    Attributes:
        params: What its trial is suggested, or would be.
        distributions: Theirs.
        score: What is known of it.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    score: Scored

    @property
    def key(self) -> str:
        """Identity: the same parameters are the same network."""
        return key_of(self.params)

    def candidate(self, name: str) -> Candidate:
        """Return it as selection sees it."""
        return candidate_of(name, self.score.attributes, self.params)


def key_of(params: Mapping[str, Any]) -> str:
    """Return one text for parameters."""
    return canonical_json(dict(params))


@dataclass
class Screen:
    """Builds and scores networks; what it has seen it does not measure again.

    Attributes:
        build: The user's function from a trial to an untrained network.
        x: Inputs (n, *input_shape), on the device of the networks.
        y: Their labels, for measures that need them.
        metrics: Names of further measures.
        space: Every parameter that ``build`` was seen to ask for, with its distribution.
        problem: Why the last network that could not be built was not, in one line.
    """

    build: Build
    x: torch.Tensor
    y: torch.Tensor | None = None
    metrics: Sequence[str] = ()
    space: dict[str, BaseDistribution] = field(default_factory=dict)
    problem: str = ""
    _scores: dict[str, Scored] = field(default_factory=dict, repr=False)

    def follow(self, draw: Draw | None, given: Mapping[str, Any] | None = None) -> tuple[Drawn, nn.Module] | None:
        """Return a trial with the network that is built from it; None if the user's function fails for it.

        Neither the random states of the process are altered, nor does the network depend on them.

        Raises:
            InvalidInputError: The user's function returns something else than a network.
        """
        trial = Drawn(draw, given)
        try:
            with surroundings_as_found(), global_stream(_BUILD_SEED, self.x.device):
                network = self.build(trial)
        except Exception as error:  # whatever the user's code raises for parameters that do not go together
            self.problem = f"build(trial) fails for {trial.params}: {error_text(error)}"
            return None
        if not isinstance(network, nn.Module):
            raise InvalidInputError(f"build(trial) must return a torch.nn.Module; it returned {type(network).__name__}")
        self.space.update(trial.distributions)
        return trial, network

    def known(self, params: Mapping[str, Any]) -> Proposal | None:
        """Return the network of a trial that has its parameters; None if the user's function fails for them."""
        followed = self.follow(None, params)
        if followed is None:
            return None
        trial, network = followed
        return Proposal(trial.params, trial.distributions, self._score(trial.params, network))

    def propose(self, draws: Sequence[Draw], more: Mapping[str, BaseDistribution]) -> list[Proposal]:
        """Return a scored network for each source of draws, but for those for which the user's function fails.

        Args:
            draws: Each draws the parameters of one network.
            more: What trials ask for besides what networks do, with distributions. Parameters that only some networks
                have may be among them: the others do not get them.
        """
        found = []
        for draw in draws:
            followed = self.follow(draw)
            if followed is not None:
                trial, network = followed
                found.append((draw, trial, self._score(trial.params, network)))
        rest = {name: distribution for name, distribution in more.items() if name not in self.space}
        return [
            Proposal(
                trial.params | {name: draw(name, distribution) for name, distribution in rest.items()},
                trial.distributions | rest,
                score,
            )
            for draw, trial, score in found
        ]

    def _score(self, params: Mapping[str, Any], network: nn.Module) -> Scored:
        key = key_of(params)
        if key not in self._scores:
            if len(self._scores) >= _MOST_KEPT:
                self._scores.clear()
            self._scores[key] = scored(network, self.x, self.y, metrics=self.metrics)
        return self._scores[key]
