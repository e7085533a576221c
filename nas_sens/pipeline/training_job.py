"""One training job: a candidate with all its seeds, from checkpoints to what is stored."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..architectures import ArchitectureSpec, load_spec
from ..core.candidates import CONTROL, FAILED_IN, PRUNED, TrainedCandidate
from ..core.declarations import changed
from ..core.device import memory_guard
from ..core.errors import OutOfMemoryError
from ..core.figures import Direction
from ..core.identity import derive_seed, digest
from ..storage.queue import Claim
from ..study.study_spec import StudySpec
from ..training import Outcome, train
from ..training.checkpoint import Checkpoint
from ..training.job import TrainingStopped
from ..training.ranks import ALONE, Ranks
from ..training.user_trainer import Following, Goal, train_by
from .failures import stop_if_hopeless
from .mistakes_file import mistakes_file
from .network_files import network_files
from .picture_file import picture_file
from .pruning import make_judge
from .session import Session
from .start_weights import start_weights
from .train_summary import loss_by, summarize
from .training_folder import folder_of, remove_folder
from .training_log import FILENAME, TrainingLog

_TOO_LARGE = "too large: training does not fit in memory"
Advance = Callable[[int, str], None]  # a number of epochs, and what is trained
Judge = Callable[[Sequence[float]], bool]


def train_one(
    session: Session,
    claim: Claim,
    *,
    advance: Advance,
    on_curve: Callable[[Sequence[float]], None] = lambda values: None,
) -> None:
    """Train a candidate with all its seeds, and store what it came to with the best weights.

    Nothing is stored if the training was given up meanwhile, as this worker gave no sign of life.

    Args:
        session: The study.
        claim: What to train.
        advance: Called with the number of epochs that are done or saved.
        on_curve: Called with the curve of the present seed so far, before its epoch is counted.

    Raises:
        InvalidInputError: The study's own trainer has failed in the same way whenever it was called.
    """
    planned = claim.training
    spec = _with_training(session.spec, planned.training)
    architecture = load_spec(planned.architecture)
    checkpoints = _checkpoints(session, planned.digest)
    outcomes: list[Outcome] = []
    log = TrainingLog(spec.train.seeds)
    log.say(f"{planned.description} on {session.probe.device}: {planned.reason}")
    try:
        for i, checkpoint in enumerate(checkpoints):
            seed = derive_seed("training", spec.search.seed, i)
            log.begin(what := f"training {i + 1} of {spec.train.seeds} (seed {seed})")
            epochs = _Epochs(
                claim, [o.curve for o in outcomes], advance, log, n_units=spec.train.n_epochs, tell=on_curve
            )
            judged = planned if i == 0 else None
            outcome = _train(session, spec, architecture, seed, epochs, checkpoint, planned.digest, judged)
            log.end(what, outcome)
            epochs.finish()
            outcomes.append(outcome)
            _tell_problems(session, planned, outcome, checkpoint, log)
            if outcome.status.startswith((PRUNED, FAILED_IN)):
                advance((spec.train.seeds - 1 - i) * spec.train.n_epochs, planned.description)
                break
        record = _store(session, spec, claim, architecture, outcomes, log)
    except _LostError:
        record = None
    if record is None:
        session.progress.message(
            f"{planned.description} was given to another worker, as this one gave no sign of life for "
            f"{session.settings.grace_seconds:.0f} s; nothing is stored twice"
        )
        return
    for checkpoint in checkpoints:
        checkpoint.remove()
    if spec.train.trainer is not None:
        remove_folder(session, planned.digest)
        stop_if_hopeless(session, record, outcomes[-1])


class _LostError(TrainingStopped):
    """The training was given up meanwhile."""


class _Epochs:
    """What is told of one training while it runs.

    Args:
        claim: Where it runs.
        earlier: Curves of the candidate's trainings with other seeds.
        advance: Called with the number of epochs that are done, of ``n_units`` in all.
        log: Its log.
        n_units: See ``advance``.
        tell: Called with the curve so far.
    """

    def __init__(
        self,
        claim: Claim,
        earlier: Sequence[Sequence[float]],
        advance: Advance,
        log: TrainingLog,
        *,
        n_units: int,
        tell: Callable[[Sequence[float]], None],
    ) -> None:
        self._claim, self._earlier, self._advance, self.log = claim, earlier, advance, log
        self._tell = tell
        self._n_units, self._n_advanced, self._n_reported = n_units, 0, 0

    def of_own(self, curve: Sequence[float]) -> None:
        """Tell of an epoch of the tool's own training."""
        self.curve(curve)
        self._forward(self._n_advanced + 1)

    def epoch(self, n_done: int, n: int) -> None:
        """Tell that so many of ``n`` epochs are done; fewer than were told of are none."""
        self._check()
        self._forward(min(self._n_units, n_done * self._n_units // max(1, n)))

    def curve(self, values: Sequence[float]) -> None:
        """Report the values so far of the figure that is shown."""
        self._check()
        self.log.note_time()
        for i in range(self._n_reported, len(values)):
            earlier = [c[min(i, len(c) - 1)] for c in self._earlier if c]  # one that stopped early keeps its last value
            self._claim.report(i + 1, math.fsum([*earlier, values[i]]) / (len(earlier) + 1))
        self._n_reported = len(values)
        self._tell(values)

    def finish(self) -> None:
        """Count the epochs that the training saved by stopping early."""
        self._forward(self._n_units)

    def _check(self) -> None:
        if self._claim.is_lost:
            raise _LostError

    def _forward(self, n: int) -> None:
        if n > self._n_advanced:
            self._advance(n - self._n_advanced, self._claim.training.description)
            self._n_advanced = n


def _train(
    session: Session,
    spec: StudySpec,
    architecture: ArchitectureSpec,
    seed: int,
    epochs: _Epochs,
    checkpoint: Checkpoint,
    candidate: str,
    judged: TrainedCandidate | None,
) -> Outcome:
    sensitivity = session.probe.mean_sensitivity
    try:
        if spec.train.trainer is not None:
            return train_by(
                architecture,
                session.splits,
                spec.train,
                goal=goal_of(spec),
                seed=seed,
                folder=folder_of(session, candidate, seed),
                device=session.probe.device,
                sensitivity=sensitivity,
                checkpoint=checkpoint,
                following=Following(
                    on_epoch=epochs.epoch,
                    on_curve=epochs.curve,
                    prune=None if judged is None else _LateJudge(session, judged),
                    say=epochs.log.say,
                ),
            )
        with memory_guard(), _together(session, spec, architecture, seed) as ranks:
            return train(
                architecture,
                session.splits,
                spec.train,
                seed=seed,
                sensitivity=sensitivity,
                on_epoch=epochs.of_own,
                start=start_weights(session, candidate),
                checkpoint=checkpoint,
                prune=None if judged is None else _judge(session, judged, n_epochs=spec.train.n_epochs),
                ranks=ranks,
            )
    except OutOfMemoryError:
        return Outcome(status=_TOO_LARGE)


def _together(
    session: Session, spec: StudySpec, architecture: ArchitectureSpec, seed: int
) -> AbstractContextManager[Ranks]:
    """Return what gathers the processes that train together."""
    if (team := session.settings.team) is None:
        return nullcontext(ALONE)
    order = {
        "study": spec.to_dict(),
        "fingerprint": session.splits.fingerprint,
        "architecture": architecture.to_dict(),
        "seed": seed,
    }
    return team.training(order, session.probe.device)


def goal_of(spec: StudySpec) -> Goal:
    """Return what a study wants of a training."""
    return Goal(objective=spec.select.objective, final=spec.final)


def _tell_problems(
    session: Session, planned: TrainedCandidate, outcome: Outcome, checkpoint: Checkpoint, log: TrainingLog
) -> None:
    if checkpoint.problem:
        log.say(text := f"no checkpoint could be written: {checkpoint.problem}")
        session.progress.message(text)
    if checkpoint.unused:
        log.say(text := f"{planned.description} was trained anew, its checkpoint was not used: {checkpoint.unused}")
        session.progress.message(text)
    if outcome.traceback:
        session.progress.message(f"{planned.description}: {outcome.status}")
        log.add(outcome.traceback)
    for name, problem in outcome.measure_problems.items():
        log.say(text := f"{name} could not be measured on {planned.description}: {problem}")
        session.progress.detail(text)


def _store(
    session: Session,
    spec: StudySpec,
    claim: Claim,
    architecture: ArchitectureSpec,
    outcomes: Sequence[Outcome],
    log: TrainingLog,
) -> TrainedCandidate | None:
    """Return what the trainings came to, stored; None if they were given up meanwhile."""
    record = summarize(session, claim.training, outcomes)
    shown = dict.fromkeys((spec.final, spec.select.target))
    figures = ", ".join(f"{name} {value:.4g}" for name in shown if (value := record.figure(name)) is not None)
    verdict = figures if record.is_ok else record.status
    session.progress.detail(f"trained {record.description} in {record.seconds:.1f} s: {verdict} ({record.reason})")
    log.say(verdict)
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {}
        if record.is_ok:
            best = min(outcomes, key=lambda o: loss_by(spec, o))
            artifacts = network_files(
                Path(folder), architecture, best.state, spec=spec, record=record, splits=session.splits
            )
            artifacts |= picture_file(Path(folder), session, architecture, record)
            artifacts |= mistakes_file(Path(folder), best, spec=spec, splits=session.splits, say=log.say)
        artifacts[FILENAME] = Path(folder) / FILENAME
        artifacts[FILENAME].write_text(log.text(), encoding="utf-8")
        return session.storage.finish(spec.name, claim, record, artifacts)


def _with_training(spec: StudySpec, training: Mapping[str, Any]) -> StudySpec:
    """Return the study as a candidate is trained by it."""
    return replace(spec, train=changed(spec.train, where="training", **training)) if training else spec


def _judge(session: Session, planned: TrainedCandidate, *, n_epochs: int, figure: str = "val_loss") -> Judge | None:
    """Return what prunes a training by a figure; None for the control group, which must stay a random sample."""
    spec = session.spec
    if spec.train.pruner == "none" or planned.chosen_by == CONTROL:
        return None
    objective = spec.select.objective
    if figure not in ("val_loss", objective.name):
        return None  # nobody knows which way it goes
    trained = [t for t in session.storage.trained(spec.name) if t.curve_of == figure]
    direction: Direction = objective.direction if figure == objective.name else "minimize"
    return make_judge(spec.train.pruner, trained, study=spec.name, n_epochs=n_epochs, direction=direction)


class _LateJudge:
    """Prunes a training of which only its own trainer knows the number of epochs and what is reported."""

    def __init__(self, session: Session, planned: TrainedCandidate) -> None:
        self._session, self._planned = session, planned
        self._judges: dict[str, Judge | None] = {}

    def __call__(self, curve: Sequence[float], n_epochs: int, figure: str) -> bool:
        if figure not in self._judges:
            self._judges[figure] = _judge(self._session, self._planned, n_epochs=n_epochs, figure=figure)
        judge = self._judges[figure]
        return judge is not None and judge(curve)


def _checkpoints(session: Session, candidate: str) -> list[Checkpoint]:
    """Return the files from which the trainings of a candidate go on, one a seed, among the study's artifacts."""
    spec, artifacts = session.spec, session.storage.artifacts_of(session.spec.name)
    names = [f"checkpoints/{digest([spec.name, candidate, i])}.pt" for i in range(spec.train.seeds)]
    # What a seed came to is stored with the others', so that it is kept until these are done.
    return [
        Checkpoint(artifacts, name, seconds=spec.train.checkpoint_seconds, keeps_end=i + 1 < spec.train.seeds)
        for i, name in enumerate(names)
    ]
