"""Second stage of a search: select and train, alone or together with other workers."""

from __future__ import annotations

import math
import time

from ..architectures import load_spec
from ..core.candidates import ScoredCandidate
from ..core.device import mixed_type
from ..core.errors import InvalidInputError
from ..core.progress import Stage
from ..scoring.infeasible import reasons_of
from ..storage.attribute_types import PROSPECTS
from ..storage.guard import StorageAwayError
from ..storage.queue import Claim
from ..training.trainable import check_own_trainer
from .last_run import keep_last_run
from .live import Watch
from .prepare import Prepared
from .session import Session, describe_study
from .stopping import as_attribute, from_attribute, in_words, stopped_in_words
from .training_job import train_one
from .training_queue import Filled, TrainingQueue
from .waiting import Waiting

_SHOWN_SECONDS = 0.5  # what goes on is worked out no more often


def require_trainer(session: Session | Prepared) -> None:
    """Check that there is something that can train candidates on the data, before anything is scored for it.

    Raises:
        InvalidInputError: There is not.
    """
    if session.table is None and session.spec.train.trainer is None:
        check_own_trainer(session.splits)


def train_selected(session: Session) -> bool:
    """Train what the rule selects and the control group, each with all its seeds, and store each when it is done.

    Returns:
        Whether all that is declared is done; not if this worker has done as many trainings as it may.

    Raises:
        InvalidInputError: No candidate can be trained.
    """
    candidates = trainable(session)
    spec, queue = session.spec, TrainingQueue(session, candidates)
    n_epochs = spec.train.seeds * spec.train.n_epochs if session.table is None else 1
    _tell_precision(session)
    with session.progress.stage("train", queue.n_left * n_epochs) as stage:
        is_done = _Training(session, queue, stage, Watch(spec, candidates), n_epochs=n_epochs).run()
    if is_done:
        _tell_prospects(session, queue)
        keep_last_run(session)
        describe_study(session)
    return is_done


def _tell_precision(session: Session) -> None:
    """Say that mixed precision was asked for and is not used."""
    train, device = session.spec.train, session.probe.device
    is_own = train.trainer is not None or train.table is not None
    if is_own or train.precision == "float32" or mixed_type(device, train.precision) is not None:
        return
    session.progress.message(
        f'precision = "{train.precision}" is not used: {device.type} computes it no faster here; all is float32'
    )


def _tell_prospects(session: Session, queue: TrainingQueue) -> None:
    """Say, and keep with the study, what further trainings are expected to gain, and whether it stops for that."""
    spec, n = session.spec, len(queue.seen.trained)
    n_left = queue.n_left if spec.select.stop_gain is not None else 0
    if n_left:
        session.progress.message(stopped_in_words(spec, n, n_left))
    if from_attribute(session.storage.attributes(spec.name).get(PROSPECTS), n) is not None:
        return  # a study that was done already, or another worker was faster
    expected = queue.prospects()
    if expected is not None:
        session.storage.create(spec.name, {PROSPECTS: as_attribute(expected, n)}, objective=spec.select.target)
        session.progress.message(in_words(expected, spec.select.target, is_stopped=n_left > 0))


class _Training:
    """The loop of one worker: take what waits, or plan, or wait."""

    def __init__(self, session: Session, queue: TrainingQueue, stage: Stage, watch: Watch, *, n_epochs: int) -> None:
        self._session, self._queue, self._stage, self._n_epochs = session, queue, stage, n_epochs
        self._watch = watch
        self._waiting = Waiting(session.progress, poll_seconds=session.settings.poll_seconds)
        self._n_seen = len(queue.seen.trained)
        self._shown = -math.inf  # when it was shown last what goes on
        self._n_here = 0  # trainings that ended here
        self._n_shown = 0  # of those, how many the stage knows of beside those of others

    def run(self) -> bool:
        """Return whether all is done."""
        storage, name, most = self._session.storage, self._session.spec.name, self._session.settings.max_trainings
        while most is None or self._n_here < most:
            if (claim := storage.take(name)) is not None:
                self._train(claim)
                self._waiting.is_over()
                continue
            filled = self._queue.fill()
            self._show_others()
            if filled == Filled.DONE:
                return True
            if filled == Filled.WAIT:
                n = sum(u.is_running for u in self._queue.seen.underway)
                grace = f"one that gives no sign of life for {storage.grace_seconds:.0f} s is given up"
                self._waiting.wait(f"waiting for {max(n, 1)} trainings of other processes; {grace}")
        return False

    def _train(self, claim: Claim) -> None:
        self._watch.begin(claim.training)
        self._queue.look()
        self._show()
        try:
            train_one(self._session, claim, advance=self._advance, on_curve=self._watch.curve)
        except StorageAwayError:
            self._session.storage.abandon(claim)
            raise
        except BaseException:  # another worker, or the next run, shall do it
            self._session.storage.put_back(claim)
            raise
        self._watch.end()
        self._n_here += 1

    def _advance(self, n: int, note: str) -> None:
        self._watch.advance(n)
        self._stage.advance(n, note)
        self._show()

    def _show(self) -> None:
        """Show what goes on, by the trainings that were stored when this one began; not in every short epoch.

        It takes 5 ms with 20 trained networks and 400 candidates, and 60 ms with 1,000 and 40,000.
        """
        if (now := time.monotonic()) - self._shown < _SHOWN_SECONDS:
            return
        self._shown, seen = now, self._queue.seen
        waiting = [u.training for u in seen.underway if not u.is_running]
        self._stage.show(self._watch.live(seen.trained, waiting, self._queue.n_left))

    def _show_others(self) -> None:
        """Count what others have finished meanwhile."""
        n_others = len(self._queue.seen.trained) - self._n_seen - self._n_here
        if n_others > self._n_shown:
            self._stage.advance((n_others - self._n_shown) * self._n_epochs, "trained by another process")
            self._n_shown = n_others


def trainable(session: Session) -> list[ScoredCandidate]:
    """Return the candidates whose outcome can be had: all of them, or those in the table.

    Raises:
        InvalidInputError: There is none.
    """
    name, table = session.spec.name, session.table
    candidates = session.storage.scored(name)
    n_ok = sum(c.is_ok for c in candidates)
    if not n_ok:
        reasons = reasons_of(c.status for c in candidates) if candidates else "nothing is scored; run nas-sens score"
        raise InvalidInputError(f"the study {name!r} has no candidate to train: {reasons}")
    if table is None:
        return candidates
    there = [c for c in candidates if c.is_ok and table.find(load_spec(c.architecture)) is not None]
    if not there:
        raise InvalidInputError(
            f"the table {table.path} has none of the {n_ok} candidates of study {name!r}; it must name architectures "
            "of this search space"
        )
    if len(there) < n_ok:
        session.progress.message(f"{n_ok - len(there)} of {n_ok} candidates are not in {table.path} and are left out")
    return there
