"""The pool grows between rounds: candidates near the best trained ones, and some from the whole space.

What is proposed before a round is a function of the study's seed, the number of the round, the outcomes so far and the
candidates of the rounds before. What is stored says for which round it was proposed, so that a growth that was killed
is gone through again, to the same candidates, of which only the missing ones are scored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..architectures import load_spec
from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..core.identity import derive_seed
from ..scoring.assess import Assessed, assess_many
from ..study.distributions import FAMILY
from ..study.neighbours import Params, anywhere, near
from ..study.proposal import Proposal
from ..study.search_space import SearchSpace
from .latency_stage import screen_of
from .score_stage import tell_own_draws, tell_scored
from .session import Session

_PARENTS = 5
_RANDOM_EVERY = 2  # of the places of a growth one in so many is drawn from the whole space (decision 31)
_TRIES = 64  # of each place; in a narrow band of FLOPs most children are infeasible
_HALF_AFTER = 16  # tries; the nearer a child is to its parents, the likelier it is in the band that they are in
_FRUITLESS = 1024  # tries of all places in a row of which none is feasible and new: there may be nothing to find


class Growth:
    """The growth of the pool of a session's study.

    Args:
        session: The study.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._screen = screen_of(session)
        self._n_read = 0
        self._known: dict[str, int] = {}  # digest of what is stored to the round that it was proposed for, 0 for none
        self._cache: dict[str, Assessed] = {}  # see `assess_many`

    def new(self) -> list[ScoredCandidate]:
        """Return the candidates that the pool grew by since this was asked last, as far as they can be trained."""
        table = self._session.table
        new = self._session.storage.scored(self._session.spec.name, start=self._n_read)
        self._n_read += len(new)
        self._known |= {c.digest: c.grown_for or 0 for c in new}
        grown = [c for c in new if c.is_ok and c.grown_for is not None]
        return [c for c in grown if table is None or table.find(load_spec(c.architecture)) is not None]

    def grow(self, number: int, trained: Sequence[TrainedCandidate]) -> None:
        """Propose, score and store candidates before a round; nothing where the space has no more.

        Args:
            number: Number of the round.
            trained: What is trained by then.
        """
        spec, session = self._session.spec, self._session
        seen = {d for d, earlier in self._known.items() if earlier < number}
        if spec.search_space.cardinality is not None and len(seen) >= spec.search_space.cardinality:
            return
        parents = self._parents(trained)
        seeds = [derive_seed("growth", spec.search.seed, number, i) for i in range(spec.search.grow or 0)]
        places = {i: np.random.default_rng(seed) for i, seed in enumerate(seeds)}
        kinds = set(session.probe.kinds_without_rule)
        fruitless = 0
        for attempt in range(_TRIES):
            proposals = self._children(places, parents, seen, reach=0.5 ** (attempt / _HALF_AFTER))
            found = self._assess(proposals, number)
            fruitless = 0 if found else fruitless + len(places)
            places = {i: rng for i, rng in places.items() if i not in found}
            if not places or fruitless >= _FRUITLESS:
                break
        n = len(seeds) - len(places)
        session.progress.detail(
            f"{n} candidates were added before round {number}, half or more near the {len(parents)} best"
        )
        if session.probe.kinds_without_rule - kinds:
            tell_own_draws(session)

    def _parents(self, trained: Sequence[TrainedCandidate]) -> list[Params]:
        """Return the parameters of the best ones, best first."""
        spec, objective = self._session.spec, self._session.spec.select.objective
        figures = [(t, t.figure(objective.name)) for t in trained if t.is_ok]
        ranked = sorted((objective.as_loss(v), t.digest, t.candidate) for t, v in figures if v is not None)
        numbers = [number for loss, _, number in ranked if math.isfinite(loss)][:_PARENTS]
        stored = self._session.storage.suggested(spec.name, numbers)
        return [stored[number] for number in numbers if _is_whole(spec.search_space, stored.get(number, {}))]

    def _children(
        self, places: dict[int, np.random.Generator], parents: Sequence[Params], seen: set[str], *, reach: float
    ) -> dict[int, Proposal]:
        """Return what each place proposes next, but for what was proposed before; it is ``seen`` now."""
        space, table = self._session.spec.search_space, self._session.table
        children: dict[int, Proposal] = {}
        for i, rng in places.items():
            is_random = not parents or i % _RANDOM_EVERY == _RANDOM_EVERY - 1
            params = anywhere(space, rng) if is_random else near(space, parents, rng, reach=reach)
            child = Proposal(params, space.architecture(params), False, None, space.training_of(params))
            if child.digest not in seen and (table is None or table.find(child.architecture) is not None):
                children[i] = child
            seen.add(child.digest)
        return children

    def _assess(self, proposals: dict[int, Proposal], number: int) -> set[int]:
        """Return the places whose proposals are feasible; they are scored and stored now.

        Those that are assessed together are stored together: the last bits of a closed form depend on the others.
        """
        session, space = self._session, self._session.spec.search_space
        found: set[int] = set()
        for start in range(0, len(proposals), session.settings.chunk_count):
            chunk = dict(itertools.islice(proposals.items(), start, start + session.settings.chunk_count))
            there = {i for i, p in chunk.items() if p.digest in self._known}  # before this growth was interrupted
            missing = {i: p for i, p in chunk.items() if i not in there}
            assessed = assess_many(
                *(space, list(missing.values()), session.splits, session.probe),
                cache=self._cache,
                screen=self._screen,
            )
            feasible = {i: c for i, (c, _) in zip(missing, assessed, strict=True) if c.feasible}
            for candidate in feasible.values():
                tell_scored(session, candidate)
            stored = [
                (replace(c, grown_for=number), space.trial_distributions(c.params_sampled)) for c in feasible.values()
            ]
            if stored:
                session.storage.add_scored(session.spec.name, stored)
            found |= there | feasible.keys()
        return found


def _is_whole(space: SearchSpace, params: Params) -> bool:
    """Return whether parameters are all that a trial has; somebody may have deleted the trial."""
    return (space.family_distribution is None or FAMILY in params) and params.keys() >= set(
        space.trial_distributions(params)
    )
