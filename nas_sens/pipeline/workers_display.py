"""One display of what all workers of a study do, read from its database."""

from __future__ import annotations

from contextlib import ExitStack

from ..core.progress import Live, Stage
from .overview import Overview, overview_of
from .scoring_pace import ScoringPace
from .session import Session


class WorkersDisplay:
    """First what they score, then what they train.

    Args:
        session: The study.
        stack: Closes what is shown.
    """

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self._session, self._stack = session, stack
        self._storage, self._spec, self._progress = session.storage, session.spec, session.progress
        self._n_epochs = self._spec.train.seeds * self._spec.train.n_epochs
        self._stage: Stage | None = None
        self._name, self._shown = "", 0
        self._pace: ScoringPace | None = None
        self._n_scored = 0

    def __call__(self) -> None:
        """Show how far the study is."""
        now = overview_of(self._storage, self._spec)
        is_training = now.n_scored >= now.n_wanted or bool(now.running) or now.n_done > 0
        if is_training:
            if self._name == "score":
                self._advance("score", now.n_scored, now.n_wanted, "")
            done = self._n_epochs * (now.n_done + now.n_pruned + now.n_failed) + sum(len(u.curve) for u in now.running)
            total = self._n_epochs * (now.n_done + now.n_pruned + now.n_failed + now.n_left + len(now.running))
            self._advance("train", done, total, _note(now))
            assert self._stage is not None
            first = now.running[0] if now.running else None
            self._stage.show(
                Live(
                    best=now.best,
                    running="" if first is None else first.training.description,
                    step="" if first is None else _note(now),
                    curve=() if first is None else first.curve,
                    seconds_left=now.seconds_left,
                )
            )
        else:
            self._advance("score", now.n_scored, now.n_wanted, "")
            assert self._stage is not None
            self._stage.show(Live(seconds_left=self._scoring_left(now)))

    def _scoring_left(self, now: Overview) -> float | None:
        """Return how long the scoring still takes, by what was scored since this is looked at."""
        if self._pace is None:
            self._pace, self._n_scored = ScoringPace(now.n_wanted - now.n_scored), now.n_scored
        self._pace.count(max(0, now.n_scored - self._n_scored))
        self._n_scored = now.n_scored
        return self._pace.seconds_left

    def _advance(self, name: str, done: int, total: int, note: str) -> None:
        if name != self._name:
            self._stack.close()
            self._stage = self._stack.enter_context(self._progress.stage(name, total))
            self._name, self._shown = name, 0
        assert self._stage is not None
        self._stage.advance(max(0, done - self._shown), note)
        self._shown = max(done, self._shown)


def _note(now: Overview) -> str:
    return f"{len(now.running)} running, {len(now.waiting)} waiting"
