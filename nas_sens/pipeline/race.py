"""The race of a study: more random networks for the candidates that the rule cannot tell apart yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..core.candidates import ScoredCandidate
from ..scoring.assess import with_score
from ..scoring.racing import race
from ..scoring.score import Score, probed, score
from ..selection import select
from ..selection.features import selection_features
from ..study.proposal import Proposal
from .session import Session


@dataclass(frozen=True)
class Entrant:
    """A candidate in the race.

    Attributes:
        proposal: What was proposed.
        candidate: With its first score, if it has one.
        score: That score with the statistics of its networks.
    """

    proposal: Proposal
    candidate: ScoredCandidate
    score: Score | None


def race_candidates(
    session: Session, entrants: Mapping[str, Entrant], known: Mapping[str, ScoredCandidate]
) -> dict[str, ScoredCandidate]:
    """Return the entrants with their final scores, by digest.

    Args:
        session: The study.
        entrants: Digest to candidate, of those that are not stored yet.
        known: Digest to candidate, of all that the rule chooses among.
    """
    spec = session.spec
    seen = {c.digest: selection_features(c) for c in known.values() if c.is_ok}

    def choose(log10_sensitivity: Mapping[str, float]) -> set[str]:
        world = [
            replace(c, features={**c.features, "log10_sensitivity": log10_sensitivity[d]})
            if d in log10_sensitivity
            else c
            for d, c in seen.items()
        ]
        return {p.digest for p in select(world, {}, rule=spec.select.rule, n=spec.select.top_k)}

    def draw_more(digest: str, earlier: Score, n_seeds: int) -> Score:
        architecture = probed(entrants[digest].proposal.architecture, spec.score)
        model = architecture.blank(session.splits.input_shape, session.splits.n_outputs, device=session.probe.device)
        return score(architecture, model, session.probe, earlier=earlier, n_seeds=n_seeds)

    scores = {d: e.score for d, e in entrants.items() if e.candidate.is_ok and e.score is not None}
    result = race(scores, choose, draw_more, max_seeds=spec.score.max_seeds, seed=spec.search.seed)
    session.progress.message(
        f"race: {result.n_drawn:,} networks drawn, {result.n_saved:,} fewer than max_seeds for every candidate; "
        f"{result.n_undecided} candidates near the cut stay undecided"
    )
    return {
        d: with_score(e.candidate, result.scores[d]) if d in result.scores else e.candidate for d, e in entrants.items()
    }
