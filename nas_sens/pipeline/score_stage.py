"""First stage of a search: propose and score candidates, alone or together with other processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.candidates import ScoredCandidate
from ..core.errors import InvalidInputError
from ..core.progress import Stage
from ..samplers.proposer import Proposer
from ..scoring.assess import Cached, assess_many, with_score
from ..scoring.racing import race
from ..scoring.score import Score, probed, score
from ..selection import select
from ..selection.features import selection_features
from ..study.proposal import Proposal
from ..study.sampler import SAMPLERS
from ..study.study_spec import StudySpec
from . import session as session_module
from .session import Session, describe_study, sampling

_FLUSH_SECONDS = 2.0
_FLUSH_COUNT = 1024  # candidates
_CHUNK = 256  # candidates that are assessed together
_AHEAD = 4096  # proposals that wait for a score at most
_INFEASIBLE_IN_A_ROW = 2_000
_RACING_RULES = ("lowest", "highest", "pareto")  # which S decides


def score_candidates(session: Session) -> None:
    """Propose and score until the study holds as many unique feasible candidates as it declares.

    The sampler runs from its start and is answered from the database for what is stored already: a resumed study
    continues as if it had never stopped.
    """
    spec, storage = session.spec, session.storage
    _check_racing(spec)
    with session.progress.stage("score", spec.search.n_candidates) as stage:
        if SAMPLERS.get(spec.search.sampler).is_independent and not spec.score.racing:
            _Scoring(session, stage, n_ahead=min(_AHEAD, spec.search.n_candidates)).run()
        else:
            # Every proposal depends on the answers before it, so that one process scores and the others wait for it.
            _wait_for(session, "sampler")
            try:
                _Scoring(session, stage, n_ahead=1).run()
            finally:
                storage.claims.release(spec.name, "sampler")
    describe_study(session)


def _check_racing(spec: StudySpec) -> None:
    if not spec.score.racing:
        return
    if not SAMPLERS.get(spec.search.sampler).is_independent or spec.select.rule not in _RACING_RULES:
        samplers = ", ".join(n for n, s in SAMPLERS.table().items() if s.is_independent)
        rules = ", ".join(_RACING_RULES)
        raise InvalidInputError(
            f"racing = true in [score] needs a sampler that does not learn from scores ({samplers}) and a rule that S "
            f"decides ({rules}); given sampler {spec.search.sampler!r} and rule {spec.select.rule!r}; set racing to "
            "false, or precision instead"
        )


def _wait_for(session: Session, item: str) -> None:
    is_told = False
    while not session.storage.claims.take(session.spec.name, item):
        if not is_told:
            session.progress.message("another process scores the candidates; waiting for it")
        is_told = True
        time.sleep(session_module.POLL_SECONDS)


class _Scoring:
    """Scoring of a study's candidates, shared among the processes that work on it.

    Every process draws the same proposals. Those without a score yet are dealt out in blocks, by claims. No more are
    drawn than would be needed if all of them were feasible, so that the result is that of a single process.
    """

    def __init__(self, session: Session, stage: Stage, *, n_ahead: int) -> None:
        self.session, self.stage, self.n_ahead = session, stage, n_ahead
        self.name, self.space = session.spec.name, session.spec.search_space
        self.n_wanted = session.spec.search.n_candidates
        self.block_size = min(_FLUSH_COUNT, max(1, self.n_wanted // 16))
        self.cache: dict[str, Cached] = {}  # of candidates whose networks are the same as those of others
        self.n_read = 0  # of the stored candidates
        self.raced: dict[str, tuple[Proposal, ScoredCandidate, Score | None]] = {}  # not stored before the race is over
        self.proposer = Proposer(self.space, **sampling(session.spec))
        self.known: dict[str, ScoredCandidate] = {}
        self.pending: dict[int, Proposal] = {}  # proposals that wait for a score, by their place among unique ones
        self.buffer: list[tuple[ScoredCandidate, Mapping[str, Any]]] = []
        self.flushed = time.monotonic()
        self.n_drawn = self.n_feasible = self.n_infeasible_in_a_row = 0
        self.is_exhausted = self.is_told = False

    def run(self) -> None:
        """Score until the study has as many unique feasible candidates as it declares, or all of its space."""
        self.refresh()
        try:
            while self.draw():
                if self.n_ahead == 1:
                    self.score(list(self.pending))
                    self.flush_sometimes()
                elif not self.score_a_block():
                    self.wait()
            if self.is_exhausted:
                text = f"the space {self.space.name!r} is exhausted: {self.n_feasible} unique feasible candidates"
                self.session.progress.message(text)
            if self.raced:
                self.race()
        finally:
            self.flush()

    def draw(self) -> bool:
        """Draw proposals while they are needed for sure; return whether any waits for a score."""
        while len(self.pending) < self.n_ahead and self.n_feasible + len(self.pending) < self.n_wanted:
            proposal = self.proposer.ask()
            if proposal is None:
                self.is_exhausted = True
                break
            if proposal.is_repeat:
                candidate = self.known.get(proposal.digest)
                is_ok = candidate is not None and candidate.is_ok
                self.proposer.tell(proposal, candidate.log10_sensitivity if candidate and is_ok else None)
                continue
            self.pending[self.n_drawn] = proposal
            self.n_drawn += 1
            self.settle(self.n_drawn - 1)
        return bool(self.pending)

    def settle(self, place: int) -> None:
        """Count a pending proposal if its score is known."""
        proposal = self.pending[place]
        candidate = self.known.get(proposal.digest)
        if candidate is None:
            return
        del self.pending[place]
        self.proposer.tell(proposal, candidate.log10_sensitivity if candidate.is_ok else None)
        if candidate.feasible:
            self.n_feasible += 1
            self.stage.advance(1)
        self.n_infeasible_in_a_row = 0 if candidate.feasible else self.n_infeasible_in_a_row + 1
        if self.n_infeasible_in_a_row >= _INFEASIBLE_IN_A_ROW:
            raise InvalidInputError(
                f"{_INFEASIBLE_IN_A_ROW:,} candidates in a row were infeasible, the last one because "
                f"{candidate.status.removeprefix('infeasible: ')}; widen the constraints of {self.space.name!r}"
            )

    def score(self, places: list[int]) -> None:
        """Score pending proposals, unless they are known meanwhile."""
        session = self.session
        for start in range(0, len(places), _CHUNK):
            chunk = places[start : start + _CHUNK]
            unknown = [p for p in chunk if self.pending[p].digest not in self.known]
            proposals = [self.pending[p] for p in unknown]
            found = assess_many(self.space, proposals, session.splits, session.probe, cache=self.cache)
            for proposal, (candidate, result) in zip(proposals, found, strict=True):
                session.progress.detail(f"scored {_verdict(candidate)}")
                self.known[candidate.digest] = candidate
                if session.spec.score.racing:
                    self.raced[candidate.digest] = (proposal, candidate, result)
                else:
                    self.buffer.append((candidate, self.space.trial_distributions(proposal.params)))
                    self.flush_sometimes()
            for place in chunk:
                self.settle(place)

    def race(self) -> None:
        """Draw more networks for the candidates that the rule cannot tell apart yet, then hand all over for storing."""
        session, spec = self.session, self.session.spec
        seen = {c.digest: selection_features(c) for c in self.known.values() if c.is_ok}

        def choose(log10_sensitivity: Mapping[str, float]) -> set[str]:
            world = [
                replace(c, features={**c.features, "log10_sensitivity": log10_sensitivity[d]})
                if d in log10_sensitivity
                else c
                for d, c in seen.items()
            ]
            return {p.digest for p in select(world, {}, rule=spec.select.rule, n=spec.select.top_k)}

        def draw_more(digest: str, earlier: Score, n_seeds: int) -> Score:
            architecture = probed(self.raced[digest][0].architecture, spec.score)
            skeleton = architecture.skeleton(session.splits.input_shape, session.splits.n_outputs)
            model = skeleton.to_empty(device=session.probe.device)
            return score(architecture, model, session.probe, earlier=earlier, n_seeds=n_seeds)

        scores = {d: s for d, (_, c, s) in self.raced.items() if c.is_ok and s is not None}
        result = race(scores, choose, draw_more, max_seeds=spec.score.max_seeds, seed=spec.search.seed)
        for digest, (proposal, candidate, _) in self.raced.items():
            final = with_score(candidate, result.scores[digest]) if digest in result.scores else candidate
            self.known[digest] = final
            self.buffer.append((final, self.space.trial_distributions(proposal.params)))
        session.progress.message(
            f"race: {result.n_drawn:,} networks drawn, {result.n_saved:,} fewer than max_seeds for every candidate; "
            f"{result.n_undecided} candidates near the cut stay undecided"
        )

    def score_a_block(self) -> bool:
        """Score the first block of pending proposals that no other process works on; return whether there was one."""
        for block in dict.fromkeys(place // self.block_size for place in self.pending):
            item = f"scores {self.block_size}:{block}"
            if not self.session.storage.claims.take(self.name, item):
                continue
            try:
                self.refresh()  # another process may have scored it just now
                self.score([p for p in self.pending if p // self.block_size == block])
            finally:
                self.flush()
                self.session.storage.claims.release(self.name, item)
            return True
        return False

    def wait(self) -> None:
        """Wait a moment for the processes that score what is pending."""
        if not self.is_told:
            text = f"nothing left to score here; waiting for {len(self.pending)} candidates of other processes"
            self.session.progress.message(text)
        self.is_told = True
        time.sleep(session_module.POLL_SECONDS)
        self.refresh()

    def refresh(self) -> None:
        """Learn what is stored."""
        new = self.session.storage.scored(self.name, start=self.n_read)
        self.n_read += len(new)
        self.known |= {c.digest: c for c in new}
        for place in list(self.pending):
            self.settle(place)

    def flush_sometimes(self) -> None:
        """Store what is scored if it is much or old."""
        is_old = time.monotonic() - self.flushed > _FLUSH_SECONDS
        if len(self.buffer) >= _FLUSH_COUNT or (self.buffer and is_old):
            self.flush()

    def flush(self) -> None:
        """Store what is scored."""
        if self.buffer:
            self.session.storage.add_scored(self.name, self.buffer)
        self.buffer.clear()
        self.flushed = time.monotonic()
        if self.n_ahead == 1:
            self.session.storage.claims.beat(self.name, "sampler")


def _verdict(candidate: ScoredCandidate) -> str:
    text = candidate.description
    if not candidate.is_ok:
        return f"{text}: {candidate.status}"
    error = "" if candidate.stderr is None else f" ± {candidate.stderr:.2g}"
    return f"{text}: log10 S {candidate.log10_sensitivity:.4g}{error} ({candidate.estimator})"
