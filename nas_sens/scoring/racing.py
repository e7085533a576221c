"""Racing: more random networks only for candidates of which it is not decided yet whether they are selected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..core.identity import derive_seed
from .score import Score

_N_WORLDS = 32


@dataclass(frozen=True)
class Race:
    """What a race came to.

    Attributes:
        scores: Digest to final score.
        n_drawn: Number of random networks drawn for all candidates together, the first ones included.
        n_saved: How many fewer those are than the largest number for every candidate.
        n_undecided: Number of candidates that the largest number left undecided.
    """

    scores: Mapping[str, Score]
    n_drawn: int
    n_saved: int
    n_undecided: int


def race(
    scores: Mapping[str, Score],
    choose: Callable[[Mapping[str, float]], set[str]],
    draw_more: Callable[[str, Score, int], Score],
    *,
    max_seeds: int,
    seed: int,
) -> Race:
    """Double the networks of undecided candidates until all are decided or have ``max_seeds``.

    Whether a candidate is decided is found by simulation: in each of 32 worlds, every log10 S is drawn from the normal
    distribution that its mean and standard error make, and the rule chooses; a candidate that some worlds choose and
    others do not is undecided.
    A candidate that less than one world in 32 would treat differently may be missed.

    Args:
        scores: Digest to the first score of all candidates; closed forms have no error, and stay as they are.
        choose: Digest to log10 S, to the digests that the selection rule chooses.
        draw_more: Digest, score and a larger number of networks, to the candidate's score with so many.
        max_seeds: Largest number of networks for a candidate.
        seed: Seed of the simulation.

    Returns:
        The final scores, the same for the same arguments whatever the order of candidates.
    """
    final = {digest: scores[digest] for digest in sorted(scores) if scores[digest].log10_sensitivity is not None}
    sampled = [d for d, s in final.items() if s.n_seeds is not None]
    step = 0
    while True:
        open_ = undecided(final, choose, seed=derive_seed("race", seed, step))
        can_draw = [d for d in sorted(open_) if (final[d].n_seeds or 0) < max_seeds]
        if not can_draw:
            break
        for digest in can_draw:
            final[digest] = draw_more(digest, final[digest], min(max_seeds, 2 * (final[digest].n_seeds or 1)))
        step += 1
    n_drawn = sum(final[d].n_seeds or 0 for d in sampled)
    return Race({**scores, **final}, n_drawn, max_seeds * len(sampled) - n_drawn, len(open_))


def undecided(scores: Mapping[str, Score], choose: Callable[[Mapping[str, float]], set[str]], *, seed: int) -> set[str]:
    """Return the candidates that the rule chooses in some worlds and not in others (see :func:`race`)."""
    digests = sorted(scores)
    mean = np.array([scores[d].log10_sensitivity for d in digests], dtype=np.float64)
    error = np.array([_error(scores[d]) for d in digests])
    rng = np.random.default_rng(seed)
    times = dict.fromkeys(digests, 0)
    for _ in range(_N_WORLDS):
        world = mean + error * rng.standard_normal(len(digests))
        for digest in choose(dict(zip(digests, world.tolist(), strict=True))):
            times[digest] += 1
    return {d for d, n in times.items() if 0 < n < _N_WORLDS and _error(scores[d]) > 0}


def _error(score: Score) -> float:
    """Return the standard error, widened as that of few networks is itself uncertain."""
    if score.stderr is None or score.n_seeds is None or score.n_seeds < 2:
        return 0.0
    return score.stderr * math.sqrt((score.n_seeds + 1) / (score.n_seeds - 1))
