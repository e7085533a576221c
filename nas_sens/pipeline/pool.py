"""The candidates that a study chooses among, as selection sees them: their features are put together once a process."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..core.candidates import ScoredCandidate
from ..selection import Candidate, Pick, control_group
from ..selection.features import selection_features


class Pool:
    """Scored candidates that may be trained.

    Args:
        candidates: Scored candidates; those that may not be trained are left out.

    Attributes:
        candidates: Digest to candidate, in the order in which they were added.
        features: The same candidates as selection sees them.
        first: Those of ``features`` that the study's sampler proposed: a sample of the space that it declares.
    """

    def __init__(self, candidates: Iterable[ScoredCandidate] = ()) -> None:
        self.candidates: dict[str, ScoredCandidate] = {}
        self.features: list[Candidate] = []
        self.first: list[Candidate] = []
        self._groups: dict[tuple[int, int], list[Pick]] = {}
        self.add(candidates)

    def add(self, candidates: Iterable[ScoredCandidate]) -> None:
        """Take further candidates, but those that are here already."""
        new = {c.digest: c for c in candidates if c.is_ok and c.digest not in self.candidates}
        self.candidates |= new
        features = [selection_features(c) for c in new.values()]
        self.features += features
        if first := [f for f, c in zip(features, new.values(), strict=True) if c.grown_for is None]:
            self.first += first
            self._groups.clear()

    def drop(self, digests: Collection[str]) -> None:
        """Leave out candidates that turned out not to meet a bound."""
        if digests:
            for digest in digests:
                self.candidates.pop(digest, None)
            self.features = [f for f in self.features if f.digest not in digests]
            self.first = [f for f in self.first if f.digest not in digests]
            self._groups.clear()

    def control_group(self, n: int, seed: int) -> list[Pick]:
        """Return the control group of a study: ``n`` random candidates of the space, whatever was proposed later."""
        if (n, seed) not in self._groups:
            self._groups[n, seed] = control_group(self.first, n=n, seed=seed)
        return self._groups[n, seed]
