"""Whether a space has any candidate for the data, asked before a database is made."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import torch
from optuna.samplers import RandomSampler

from ..core.errors import InvalidInputError
from ..data import Splits
from ..scoring.assess import sized
from ..scoring.infeasible import reasons_of
from ..study.proposal import Proposal
from ..study.search_space import SearchSpace

_AT_MOST = 2_000  # architectures that are tried; the first one is feasible nearly always
_SECONDS = 20.0


def check_feasible(space: SearchSpace, splits: Splits, *, seed: int, device: torch.device) -> None:
    """Check that a space has an architecture that fits the data and meets the constraints.

    A small space is looked through, and a large one at random; if nothing is found in 20 seconds, the search will see.

    Args:
        space: The space.
        splits: The data, for the shapes of input and output.
        seed: Of the random ones.
        device: Where candidates are put together.

    Raises:
        InvalidInputError: None was found; the message says why, and how near the nearest one came.
    """
    statuses = []
    end = time.monotonic() + _SECONDS
    for params in itertools.islice(_some(space, seed), _AT_MOST):
        proposal = Proposal(params, space.architecture(params), False, None, space.training_of(params))
        candidate = sized(space, proposal, splits, device)
        if candidate.feasible:
            return
        statuses.append(candidate.status)
        if time.monotonic() > end:
            return
    raise InvalidInputError(
        f"the search space {space.name!r} has no candidate that is feasible for data {splits.name!r}: "
        f"{reasons_of(statuses)}; widen the space or its constraints"
    )


def _some(space: SearchSpace, seed: int) -> Iterator[dict[str, Any]]:
    """Return an iterator over the parameters of all architectures of a small space, or of random ones."""
    if space.cardinality is not None and space.cardinality <= _AT_MOST:
        return space.enumerate()
    sampler = RandomSampler(seed=seed)
    return (space.draw(sampler) for _ in range(_AT_MOST))
