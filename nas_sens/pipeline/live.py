"""What goes on in the training stage: the best so far, the curve of what runs, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict

from ..core.candidates import CONTROL, ScoredCandidate, TrainedCandidate, family_of
from ..core.figures import in_words
from ..core.progress import Live
from ..core.short_names import short_names
from ..results.search_result import ranking_key
from ..study.select_spec import ranking_figure
from ..study.study_spec import StudySpec
from .time_left import seconds_left
from .timed_trainings import Job, Timed

_RECENT = 50  # finished trainings by which the rest is judged
_POOL = 200  # candidates that stand for all of them


def best_of(spec: StudySpec, trained: Sequence[TrainedCandidate]) -> TrainedCandidate | None:
    """Return the best trained candidate by what the study ranks by; None before one is trained."""
    figure = ranking_figure({"select": asdict(spec.select), "train": {"trainer": spec.train.trainer}})
    done = [t for t in trained if t.is_ok and t.figure(figure.name) is not None]
    return min(done, key=ranking_key(figure), default=None)


def best_in_words(spec: StudySpec, trained: Sequence[TrainedCandidate]) -> str:
    """Return the best trained candidate with what tells how good it is; "" before one is trained."""
    if (best := best_of(spec, trained)) is None:
        return ""
    figure = ranking_figure({"select": asdict(spec.select), "train": {"trainer": spec.train.trainer}})
    names = dict.fromkeys(["val_error", figure.name])
    told = [in_words(name, value) for name in names if (value := best.figure(name)) is not None]
    return f"{', '.join(told)}: {short_names(trained)[list(trained).index(best)]}"


def timed_of(spec: StudySpec, trained: Iterable[TrainedCandidate]) -> list[Timed]:
    """Return what is known of how long trainings took."""
    found = []
    for t in trained:
        if t.seconds is None or t.is_pruned or not t.is_ok:
            continue
        epochs = _epochs_of(spec)
        # A trainer of one's own reports as often as it likes.
        done = min(epochs, t.n_seeds * len(t.curve)) if spec.train.trainer is None and t.curve else epochs
        found.append(Timed(**vars(job_of(spec, t)), done=done, seconds=t.seconds))
    return found


def job_of(spec: StudySpec, candidate: ScoredCandidate | TrainedCandidate) -> Job:
    """Return a training of a candidate, as it is judged how long it takes."""
    return Job(flops=candidate.flops, family=family_of(candidate.architecture), epochs=_epochs_of(spec))


def _epochs_of(spec: StudySpec) -> int:
    return spec.train.seeds * spec.train.n_epochs if spec.train.table is None else 1


def time_left(
    spec: StudySpec,
    candidates: Sequence[ScoredCandidate],
    trained: Sequence[TrainedCandidate],
    *,
    running: Sequence[Timed] = (),
    waiting: Sequence[TrainedCandidate] = (),
    n_left: int,
    n_workers: int = 1,
    seconds_between: float = 0.0,
) -> float | None:
    """Return how long what is left of a study's trainings takes; None where nothing tells.

    Args:
        spec: The study.
        candidates: Scored candidates.
        trained: Finished trainings, in their order.
        running: Those that run.
        waiting: Those that wait.
        n_left: Number of all that neither run nor are finished, those that wait among them.
        n_workers: How many train at the same time.
        seconds_between: What lies between two trainings of a worker.
    """
    known = {t.digest for t in (*trained, *waiting)}
    open_ = [c for c in candidates if c.is_ok and c.digest not in known]
    pool = open_[:: max(1, len(open_) // _POOL)]
    chosen = [t for t in trained if t.is_ok and t.chosen_by != CONTROL][-_RECENT:]
    return seconds_left(
        [*timed_of(spec, trained[-_RECENT:]), *running],
        [job_of(spec, t) for t in waiting],
        n_unknown=max(0, n_left - len(waiting)),
        pool=[job_of(spec, c) for c in pool],
        chosen=[job_of(spec, t) for t in chosen],
        n_workers=n_workers,
        seconds_between=seconds_between,
    )


class Watch:
    """Follows the trainings of this process.

    Args:
        spec: The study.
        candidates: Scored candidates that may be trained.
        now: Returns seconds of a clock.
    """

    def __init__(
        self, spec: StudySpec, candidates: Sequence[ScoredCandidate], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._spec, self._candidates, self._now = spec, candidates, now
        self._running: TrainedCandidate | None = None
        self._curve: tuple[float, ...] = ()
        self._done, self._begun = 0, 0.0
        self._ended: float | None = None
        self._gaps: list[float] = []

    def begin(self, training: TrainedCandidate) -> None:
        """Note that a training begins."""
        self._begun = self._now()
        if self._ended is not None:
            self._gaps.append(self._begun - self._ended)
        self._running, self._curve, self._done = training, (), 0

    def advance(self, n: int) -> None:
        """Note that ``n`` of its epochs are done."""
        self._done += n

    def curve(self, values: Sequence[float]) -> None:
        """Note the curve of what runs, of the present seed."""
        self._curve = tuple(values)

    def end(self) -> None:
        """Note that the training ended."""
        self._ended, self._running, self._curve = self._now(), None, ()

    def live(self, trained: Sequence[TrainedCandidate], waiting: Sequence[TrainedCandidate], n_left: int) -> Live:
        """Return what goes on.

        Args:
            trained: Finished trainings.
            waiting: Those that wait.
            n_left: Number of those that are not finished, the running one among them.
        """
        running, text, step = [], "", ""
        if self._running is not None:
            job, elapsed = job_of(self._spec, self._running), self._now() - self._begun
            running = [Timed(**vars(job), done=min(self._done, job.epochs), seconds=elapsed, is_over=False)]
            text, step = short_names([*trained[-_RECENT:], self._running])[-1], f"epoch {self._done} of {job.epochs:g}"
        left = time_left(
            self._spec,
            self._candidates,
            trained,
            running=running,
            waiting=waiting,
            n_left=max(0, n_left - len(running)),
            seconds_between=sum(self._gaps) / len(self._gaps) if self._gaps else 0.0,
        )
        return Live(
            best=best_in_words(self._spec, trained), running=text, step=step, curve=self._curve, seconds_left=left
        )
