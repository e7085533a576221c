"""The trainings of a study that are planned and not begun: filled by whichever worker finds none waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from enum import Enum

from ..architectures import load_spec
from ..core.candidates import ScoredCandidate, TrainedCandidate
from ..selection.prospects import Prospects
from ..storage.queue import MOST_WAITING
from ..storage.study_database import BEATS_PER_GRACE
from ..storage.study_storage import Trainings
from ..training.outcome_lookup import TrainingTable, with_figures
from .growth import Growth
from .latency_stage import LatencyCheck
from .plan import Planned, count_left, plan_training, round_to_open
from .pool import Pool
from .session import Session
from .stopping import is_enough, prospects_of
from .train_summary import record_of

_PLAN = "plan"  # the lease of the worker that plans
_WORKERS_PER_PICK = 8  # of many idle workers each plans for some of the others, or all would wait for the planning


class Filled(Enum):
    """What became of the queue."""

    MORE = "something waits"
    WAIT = "others train or plan"
    DONE = "all that is declared is done"


class TrainingQueue:
    """The queue of a session's study.

    Args:
        session: The study.
        candidates: Scored candidates that may be trained.

    Attributes:
        seen: The trainings that were stored when it was filled last.
    """

    def __init__(self, session: Session, candidates: Sequence[ScoredCandidate]) -> None:
        self._session, self._pool, self._growth = session, Pool(candidates), Growth(session)
        self._latency = LatencyCheck(session)
        self.seen = self._look()
        self._planned_by: object = None  # what a plan was empty for
        self._looked = -math.inf  # for workers that are gone

    def fill(self, *, is_asynchronous: bool | None = None) -> Filled:
        """Return what became of the queue, having planned what can begin now; a table's outcomes are looked up.

        Who waits calls this again and again: it plans only when something has changed.

        Args:
            is_asynchronous: In place of that of the session's settings; None for what they say.
        """
        is_ahead = self._session.settings.is_asynchronous if is_asynchronous is None else is_asynchronous
        storage, name = self._session.storage, self._session.spec.name
        self._give_up_stale()
        self.seen = self._look()
        if any(not u.is_running for u in self.seen.underway):
            return Filled.MORE
        if (is_ahead, self._state()) != self._planned_by:
            with storage.leases.claimed(name, _PLAN) as is_ours:
                if not is_ours:
                    return Filled.WAIT
                self.seen = self._look()
                if any(not u.is_running for u in self.seen.underway):
                    return Filled.MORE
                if plan := self._plan(is_ahead=is_ahead)[:MOST_WAITING]:
                    self._add(plan)
                    return Filled.MORE
                self._planned_by = is_ahead, self._state()
        return Filled.WAIT if self.seen.underway else Filled.DONE

    def look(self) -> None:
        """See what is stored now."""
        self.seen = self._look()

    def _look(self) -> Trainings:
        """Return the trainings that are stored now, without those that are done again."""
        found, again = self._session.storage.trainings(self._session.spec.name), self._session.tried_again
        return found._replace(trained=[t for t in found.trained if t.number not in again]) if again else found

    def _state(self) -> object:
        """Return what a plan depends on."""
        return len(self.seen.trained), [u.training.number for u in self.seen.underway]

    def _give_up_stale(self) -> None:
        """Give up workers that show no sign of life, if that was not looked for just now."""
        storage, now = self._session.storage, time.monotonic()
        if now - self._looked > storage.grace_seconds / BEATS_PER_GRACE:
            storage.fail_stale(self._session.spec.name)
            self._looked = now

    def _plan(self, *, is_ahead: bool) -> list[Planned]:
        """Return what can begin now, having let the pool grow before a round."""
        spec, pool, growth = self._session.spec, self._pool, self._growth
        pool.add(growth.new())  # other processes may have let it grow
        n_ahead = 1 + len(self.seen.underway) // _WORKERS_PER_PICK if is_ahead else 0
        number = round_to_open(spec, pool, *self._known(), n_ahead=n_ahead)
        if number is not None and spec.select.stop_gain is not None and is_enough(spec, self.prospects()):
            return []
        if number is not None and spec.search.grow:
            growth.grow(number, self.seen.trained)
            pool.add(growth.new())
            self.seen = self._look()  # its trials are the newest ones now, and others may have trained meanwhile
        while True:
            plan = plan_training(spec, pool, *self._known(), n_ahead=n_ahead)
            if not (slow := self._latency.too_slow([p.candidate for p in plan])):
                return plan
            pool.drop(slow)

    def prospects(self) -> Prospects | None:
        """Return what training on would gain, by what was seen last."""
        return prospects_of(self._session.spec, self._pool, self.seen.trained)

    @property
    def n_left(self) -> int:
        """Number of trainings that are declared and not finished, by what was seen last."""
        return count_left(self._session.spec, list(self._pool.candidates.values()), self.seen.trained)

    def _known(self) -> tuple[list[TrainedCandidate], list[TrainedCandidate]]:
        """Return what is trained, and what waits or runs."""
        return self.seen.trained, [u.training for u in self.seen.underway]

    def _add(self, plan: Sequence[Planned]) -> None:
        storage, name, table = self._session.storage, self._session.spec.name, self._session.table
        records = [record_of(p, self._latency.known) for p in plan]
        if table is None:
            storage.enqueue(name, records, seen=self.seen)
        else:
            storage.add_trained(name, [_looked_up(r, table) for r in records], seen=self.seen)


def _looked_up(record: TrainedCandidate, table: TrainingTable) -> TrainedCandidate:
    """Return a training with the outcome that the table has; there are no weights then."""
    figures = table.find(load_spec(record.architecture))
    assert figures is not None, "only candidates of the table are planned"
    return with_figures(record, figures)
