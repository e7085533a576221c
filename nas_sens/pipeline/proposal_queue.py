"""Proposals that wait for a score: drawn while they are needed, settled when the score is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.candidates import ScoredCandidate
from ..core.errors import InvalidInputError
from ..samplers.proposer import Proposer
from ..scoring.infeasible import reasons_of
from ..study.proposal import Proposal


class ProposalQueue:
    """Proposals in the order of the sampler, which is answered as soon as a score is known.

    Every process of a study draws the same ones. No more are drawn than would be needed if all of them were feasible,
    so that the result is that of a single process.

    Args:
        proposer: Source of proposals.
        n_wanted: Number of unique feasible candidates that the study wants.
        n_ahead: How many may wait at most; 1 where every proposal depends on the answers before it.
        infeasible_in_a_row: Number of infeasible ones in a row after which the space is given up.

    Attributes:
        waiting: Proposals without a score, by their place among unique ones.
        n_feasible: Number of unique feasible candidates so far.
        is_exhausted: Whether the space has no more.
    """

    def __init__(self, proposer: Proposer, *, n_wanted: int, n_ahead: int, infeasible_in_a_row: int) -> None:
        self._proposer, self._n_wanted, self._n_ahead = proposer, n_wanted, n_ahead
        self._infeasible_in_a_row = infeasible_in_a_row
        self._n_drawn = 0
        self._infeasible: list[str] = []  # why those were that came in a row
        self.waiting: dict[int, Proposal] = {}
        self.n_feasible = 0
        self.is_exhausted = False

    def draw(self, known: Mapping[str, ScoredCandidate]) -> int:
        """Draw proposals while they are needed for sure, and settle those that are known.

        Args:
            known: Digest to candidate, of all that is scored.

        Returns:
            Number of feasible ones among what was settled.

        Raises:
            InvalidInputError: Too many in a row were infeasible.
        """
        n_before = self.n_feasible
        while len(self.waiting) < self._n_ahead and self.n_feasible + len(self.waiting) < self._n_wanted:
            proposal = self._proposer.ask()
            if proposal is None:
                self.is_exhausted = True
                break
            if proposal.is_repeat:
                self._answer(proposal, known.get(proposal.digest))
                continue
            self.waiting[self._n_drawn] = proposal
            self._n_drawn += 1
            self._settle(self._n_drawn - 1, known)
        return self.n_feasible - n_before

    def settle(self, known: Mapping[str, ScoredCandidate], places: Iterable[int] | None = None) -> int:
        """Count the waiting proposals whose score is known.

        Args:
            known: Digest to candidate, of all that is scored.
            places: Where to look; None for all that wait.

        Returns:
            Number of feasible ones among them.

        Raises:
            InvalidInputError: Too many in a row were infeasible.
        """
        n_before = self.n_feasible
        for place in list(self.waiting if places is None else places):
            self._settle(place, known)
        return self.n_feasible - n_before

    def _settle(self, place: int, known: Mapping[str, ScoredCandidate]) -> None:
        """Count one.

        Raises:
            InvalidInputError: Too many in a row were infeasible.
        """
        candidate = known.get(self.waiting[place].digest)
        if candidate is None:
            return
        self._answer(self.waiting.pop(place), candidate)
        self.n_feasible += candidate.feasible and candidate.grown_for is None  # those were proposed between trainings
        if candidate.feasible:
            self._infeasible.clear()
        else:
            self._infeasible.append(candidate.status)
        if len(self._infeasible) >= self._infeasible_in_a_row:
            n, why = len(self._infeasible), reasons_of(self._infeasible)
            raise InvalidInputError(
                f"{n:,} candidates in a row were infeasible: {why}; widen the constraints of "
                f"{self._proposer.space.name!r}"
            )

    def _answer(self, proposal: Proposal, candidate: ScoredCandidate | None) -> None:
        is_ok = candidate is not None and candidate.is_ok
        self._proposer.tell(proposal, candidate.log10_sensitivity if candidate and is_ok else None)
