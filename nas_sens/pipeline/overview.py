"""How far a study is: what is scored, waits, runs and is done, and how long the rest may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..core.candidates import USUAL_CURVE, ScoredCandidate, TrainedCandidate, Underway
from ..storage.attribute_types import PROSPECTS
from ..storage.study_storage import StudyStorage, Trainings
from ..study.study_spec import StudySpec
from .live import best_in_words, job_of, time_left
from .plan import count_left
from .stopping import from_attribute, is_enough
from .timed_trainings import Timed


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How far a study is.

    Attributes:
        name: Its name.
        n_scored: Number of unique feasible candidates, but those that were proposed between trainings.
        n_wanted: How many it wants.
        n_grown: Number of those that were proposed between trainings, half of them or more near good ones.
        waiting: Trainings that wait for a worker.
        running: Trainings that run.
        n_done: Number of finished trainings that came to something.
        n_pruned: Number of those that were ended early.
        n_failed: Number of failed ones.
        n_left: Number of trainings that are neither finished nor run.
        seconds_left: What the rest takes with as many workers as run now; None where that cannot be told.
        curve_of: The figure that curves of running trainings show: what finished ones reported where the trainer is
            the user's own, "reported" before one is finished.
        best: The best trained candidate so far, in words; "" before there is one.
    """

    name: str
    n_scored: int
    n_wanted: int
    n_grown: int
    waiting: Sequence[Underway]
    running: Sequence[Underway]
    n_done: int
    n_pruned: int
    n_failed: int
    n_left: int
    seconds_left: float | None
    curve_of: str = USUAL_CURVE
    best: str = ""


def overview_of(storage: StudyStorage, spec: StudySpec, *, now: datetime | None = None) -> Overview:
    """Return how far a study is.

    Args:
        storage: The database.
        spec: Its declaration.
        now: The time, by the clock of the workers; None for the present.
    """
    seen = storage.trainings(spec.name, live=True)
    candidates = storage.scored(spec.name)
    running = [u for u in seen.underway if u.is_running]
    n_left = max(0, count_left(spec, candidates, seen.trained) - len(running))
    known = storage.attributes(spec.name).get(PROSPECTS)
    if not seen.underway and is_enough(spec, from_attribute(known, len(seen.trained))):
        n_left = 0  # the search stopped for that
    return Overview(
        name=spec.name,
        n_scored=sum(c.feasible and c.grown_for is None for c in candidates),
        n_wanted=spec.search.n_candidates,
        n_grown=sum(c.feasible and c.grown_for is not None for c in candidates),
        waiting=[u for u in seen.underway if not u.is_running],
        running=running,
        n_done=sum(t.is_ok for t in seen.trained),
        n_pruned=sum(t.is_pruned for t in seen.trained),
        n_failed=sum(not t.is_ok and not t.is_pruned for t in seen.trained),
        n_left=n_left,
        seconds_left=_seconds_left(spec, candidates, seen, n_left, now or datetime.now()),
        best=best_in_words(spec, seen.trained),
        curve_of=USUAL_CURVE if spec.train.trainer is None else _reported(seen.trained),
    )


def _reported(trained: Sequence[TrainedCandidate]) -> str:
    return next((t.curve_of for t in reversed(trained) if t.curve), "reported")


def _seconds_left(
    spec: StudySpec, candidates: Sequence[ScoredCandidate], seen: Trainings, n_left: int, now: datetime
) -> float | None:
    running = [u for u in seen.underway if u.is_running]
    if not running:
        return None if n_left else 0.0
    # Of several seeds the curve does not say which one runs.
    timed = [
        Timed(
            **vars(job_of(spec, u.training)),
            done=len(u.curve) if spec.train.seeds == 1 and spec.train.trainer is None else 0,
            seconds=max(0.0, (now - u.started).total_seconds()) if u.started is not None else 0.0,
            is_over=False,
        )
        for u in running
    ]
    waiting = [u.training for u in seen.underway if not u.is_running]
    return time_left(
        spec, candidates, seen.trained, running=timed, waiting=waiting, n_left=n_left, n_workers=len(running)
    )
