"""First stage of a search: propose and score candidates, alone or together with other processes."""

from __future__ import annotations

from ..core.candidates import ScoredCandidate
from ..core.progress import Live, Stage
from ..samplers.proposer import Proposer
from ..scoring.assess import Assessed, assess_many
from ..scoring.score import Score
from ..storage.attribute_types import OWN_DRAWS
from ..study.proposal import Proposal
from ..study.sampler import SAMPLERS
from .candidate_writer import CandidateWriter
from .latency_stage import screen_of
from .proposal_queue import ProposalQueue
from .race import Entrant, race_candidates
from .scoring_pace import ScoringPace
from .session import Session, describe_study, sampling
from .waiting import Waiting

_SAMPLER = "sampler"  # the lease of the process that draws, where only one may


def score_candidates(session: Session) -> None:
    """Propose and score until the study holds as many unique feasible candidates as it declares.

    The sampler runs from its start and is answered from the database for what is stored already: a resumed study
    continues as if it had never stopped.
    """
    spec, settings = session.spec, session.settings
    waiting = Waiting(session.progress, poll_seconds=settings.poll_seconds)
    with session.progress.stage("score", spec.search.n_candidates) as stage:
        if SAMPLERS.get(spec.search.sampler).is_independent and not spec.score.racing:
            n_ahead = min(settings.ahead_count, spec.search.n_candidates)
            _Scoring(session, stage, waiting, n_ahead=n_ahead).run_together()
        else:
            # Every proposal depends on the answers before it, so that one process scores and the others wait for it.
            with session.storage.leases.hold(
                spec.name,
                _SAMPLER,
                poll_seconds=settings.poll_seconds,
                on_wait=lambda: waiting.tell("another process scores the candidates; waiting for it"),
            ):
                _Scoring(session, stage, waiting, n_ahead=1).run_alone()
    _tell_problems(session)
    tell_own_draws(session)
    describe_study(session)


def _tell_problems(session: Session) -> None:
    """Say of how many candidates a metric of ``[score]`` has no value, and why, by an example."""
    candidates = [c for c in session.storage.scored(session.spec.name) if c.is_ok]
    for metric in session.spec.score.named_metrics:  # those by default are left out silently
        problems = [c.measure_problems[metric] for c in candidates if metric in c.measure_problems]
        if problems:
            session.progress.message(
                f"{metric} could not be measured on {len(problems)} of {len(candidates)} candidates: {problems[0]}"
            )


def tell_scored(session: Session, candidate: ScoredCandidate) -> None:
    """Say what was found of a candidate, to those who want to know it of each."""
    session.progress.detail(f"scored {_verdict(candidate)}")
    for metric, problem in candidate.measure_problems.items():
        session.progress.detail(f"{metric} could not be measured on {candidate.description}: {problem}")


def tell_own_draws(session: Session) -> None:
    """Say, and keep with the study, which layers were not drawn as ``[score] probe_init`` says."""
    found, spec = session.probe.kinds_without_rule, session.spec
    if not found:
        return
    known = session.storage.attributes(spec.name).get(OWN_DRAWS)
    kinds = sorted(found.union(known if isinstance(known, list) else ()))
    session.storage.create(spec.name, {OWN_DRAWS: kinds}, objective=spec.select.target)
    session.progress.message(
        f"layers of kind {', '.join(kinds)} were drawn as the networks themselves draw them: [score] probe_init = "
        f'"{spec.score.probe_init}" has no rule for them'
    )


class _Scoring:
    """The loop: a queue of proposals, what is known of them, and a writer of what becomes known here."""

    def __init__(self, session: Session, stage: Stage, waiting: Waiting, *, n_ahead: int) -> None:
        spec, settings = session.spec, session.settings
        self.session, self.stage, self.waiting = session, stage, waiting
        self.queue = ProposalQueue(
            Proposer(spec.search_space, **sampling(spec)),
            n_wanted=spec.search.n_candidates,
            n_ahead=n_ahead,
            infeasible_in_a_row=settings.infeasible_in_a_row,
        )
        self.writer = CandidateWriter(session.storage, spec.name, settings)
        self.known: dict[str, ScoredCandidate] = {}
        self.n_read = 0  # of the stored candidates
        self.screen = screen_of(session)
        self.cache: dict[str, Assessed] = {}  # of candidates whose networks are the same as those of others
        self.entrants: dict[str, Entrant] = {}  # not stored before the race is over
        self.pace: ScoringPace | None = None  # begins when it is known what is stored already

    def run_alone(self) -> None:
        """Score one proposal after the other, until the study has what it wants or all of its space."""
        self.refresh()
        try:
            while self.draw():
                self.score(list(self.queue.waiting))
            if self.entrants:
                finals = race_candidates(self.session, self.entrants, self.known)
                for digest, entrant in self.entrants.items():
                    self.store(entrant.proposal, finals[digest])
        finally:
            self.writer.flush()

    def run_together(self) -> None:
        """Score blocks of proposals that no other process works on, until the study has what it wants."""
        block_size = min(self.session.settings.block_count, max(1, self.session.spec.search.n_candidates // 16))
        self.refresh()
        while self.draw():
            if not self.score_a_block(block_size):
                n = len(self.queue.waiting)
                self.waiting.wait(f"nothing left to score here; waiting for {n} candidates of other processes")
                self.refresh()

    def score_a_block(self, block_size: int) -> bool:
        """Return whether there was a block that no other process works on, having scored the first one."""
        for block in dict.fromkeys(place // block_size for place in self.queue.waiting):
            item = f"scores {block_size}:{block}"
            with self.session.storage.leases.claimed(self.session.spec.name, item) as is_ours:
                if not is_ours:
                    continue
                try:
                    self.refresh()  # another process may have scored it just now
                    self.score([place for place in self.queue.waiting if place // block_size == block])
                finally:
                    self.writer.flush()
            return True
        return False

    def draw(self) -> bool:
        """Return whether any proposal waits for a score, having drawn what is needed."""
        self.stage.advance(self.queue.draw(self.known))
        if self.queue.waiting:
            return True
        if self.queue.is_exhausted:
            n = self.queue.n_feasible + sum(c.feasible and c.grown_for is not None for c in self.known.values())
            name = self.session.spec.search_space.name
            self.session.progress.message(f"the space {name!r} is exhausted: {n} unique feasible candidates")
        return False

    def refresh(self) -> None:
        """Learn what is stored."""
        new = self.session.storage.scored(self.session.spec.name, start=self.n_read)
        self.n_read += len(new)
        n_new = sum(_counts(c) for c in new if c.digest not in self.known)
        self.known |= {c.digest: c for c in new}
        self.stage.advance(self.queue.settle(self.known))
        if self.pace is None:
            self.pace = ScoringPace(self.session.spec.search.n_candidates - n_new)
        elif n_new:
            self.tell_time_left(n_new)

    def score(self, places: list[int]) -> None:
        """Score waiting proposals, unless they are known meanwhile."""
        session, size = self.session, self.session.settings.chunk_count
        for start in range(0, len(places), size):
            chunk = places[start : start + size]
            n_new, proposals = 0, [p for place in chunk if (p := self.queue.waiting[place]).digest not in self.known]
            space = session.spec.search_space
            found = assess_many(space, proposals, session.splits, session.probe, cache=self.cache, screen=self.screen)
            for proposal, (candidate, score) in zip(proposals, found, strict=True):
                self.keep(proposal, candidate, score)
                n_new += _counts(candidate)
            self.tell_time_left(n_new)
            self.stage.advance(self.queue.settle(self.known, chunk))

    def keep(self, proposal: Proposal, candidate: ScoredCandidate, score: Score | None) -> None:
        """Remember what was scored, for the race or for storing."""
        tell_scored(self.session, candidate)
        self.known[candidate.digest] = candidate
        if self.session.spec.score.racing:
            self.entrants[candidate.digest] = Entrant(proposal, candidate, score)
        else:
            self.store(proposal, candidate)
            self.writer.flush_if_due()

    def tell_time_left(self, n_new: int) -> None:
        """Show how long the rest takes, so many more candidates being scored."""
        if self.pace is not None:
            self.pace.count(n_new)
            self.stage.show(Live(seconds_left=self.pace.seconds_left))

    def store(self, proposal: Proposal, candidate: ScoredCandidate) -> None:
        """Hand a candidate to the writer."""
        self.writer.add(candidate, self.session.spec.search_space.trial_distributions(proposal.params))


def _counts(candidate: ScoredCandidate) -> bool:
    """Return whether it is one of those that the study wants: others were proposed between trainings, or do not fit."""
    return candidate.feasible and candidate.grown_for is None


def _verdict(candidate: ScoredCandidate) -> str:
    text = candidate.description
    if not candidate.is_ok:
        return f"{text}: {candidate.status}"
    error = "" if candidate.stderr is None else f" ± {candidate.stderr:.2g}"
    return f"{text}: log10 S {candidate.log10_sensitivity:.4g}{error} ({candidate.estimator})"
