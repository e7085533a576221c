"""One training job: a candidate with all its seeds, from checkpoints to what is stored."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..architectures import ArchitectureSpec, load_spec
from ..core.candidates import CONTROL, PRUNED, TrainedCandidate
from ..core.declarations import changed
from ..core.device import memory_guard
from ..core.errors import OutOfMemoryError
from ..core.identity import derive_seed, digest
from ..models import model_folder
from ..storage.queue import Job
from ..study.study_spec import StudySpec
from ..training import Outcome, train
from ..training.checkpoint import Checkpoint
from .pruning import make_judge
from .session import Session
from .train_summary import provenance, summarize
from .training_log import FILENAME, TrainingLog

_TOO_LARGE = "too large: training does not fit in memory"
Advance = Callable[[int, str], None]  # a number of epochs, and what is trained
Judge = Callable[[Sequence[float]], bool]


def train_one(session: Session, job: Job, *, advance: Advance) -> None:
    """Train a candidate with all its seeds, and store what it came to with the best weights.

    Nothing is stored if the training was given up meanwhile, as this worker gave no sign of life.

    Args:
        session: The study.
        job: What to train.
        advance: Called with the number of epochs that are done or saved.
    """
    planned = job.training
    spec = _with_training(session.spec, planned.training)
    architecture = load_spec(planned.architecture)
    checkpoints = _checkpoints(session, planned.digest)
    judge = _judge(session, planned)
    outcomes: list[Outcome] = []
    log = TrainingLog(spec.train.seeds)
    log.say(f"{planned.description} on {session.splits.x_train.device}: {planned.reason}")
    try:
        for i, checkpoint in enumerate(checkpoints):
            on_epoch = _EpochCounter(job, [o.curve for o in outcomes], advance)
            seed = derive_seed("training", spec.search.seed, i)
            log.begin(what := f"training {i + 1} of {spec.train.seeds} (seed {seed})")
            noted, judged_by = log.after(on_epoch), judge if i == 0 else None
            outcome = _train(session, spec, architecture, seed, noted, checkpoint, judged_by)
            log.end(what, outcome)
            on_epoch.finish(spec.train.n_epochs)
            outcomes.append(outcome)
            _tell_problems(session, planned, outcome, checkpoint, log)
            if outcome.status.startswith(PRUNED):
                advance((spec.train.seeds - 1) * spec.train.n_epochs, planned.description)
                break
        is_stored = _store(session, spec, job, architecture, outcomes, log)
    except _LostError:
        is_stored = False
    if not is_stored:
        session.progress.message(
            f"{planned.description} was given to another worker, as this one gave no sign of life for "
            f"{session.settings.grace_seconds:.0f} s; nothing is stored twice"
        )
        return
    for checkpoint in checkpoints:
        checkpoint.remove()


class _LostError(Exception):
    """The training was given up meanwhile."""


class _EpochCounter:
    """What is called after every epoch of one training, with its validation losses so far."""

    def __init__(self, job: Job, earlier: Sequence[Sequence[float]], advance: Advance) -> None:
        self._job, self._earlier, self._advance = job, earlier, advance
        self._n = self._n_reported = 0

    def __call__(self, curve: Sequence[float]) -> None:
        if self._job.is_lost:
            raise _LostError
        self._n += 1
        self._advance(1, self._job.training.description)
        for i in range(self._n_reported, len(curve)):
            values = [c[min(i, len(c) - 1)] for c in self._earlier]  # one that stopped early keeps its last value
            self._job.report(i + 1, math.fsum([*values, curve[i]]) / (len(values) + 1))
        self._n_reported = len(curve)

    def finish(self, n_epochs: int) -> None:
        """Count the epochs that the training saved by stopping early."""
        self._advance(n_epochs - self._n, self._job.training.description)


def _train(
    session: Session,
    spec: StudySpec,
    architecture: ArchitectureSpec,
    seed: int,
    on_epoch: Callable[[Sequence[float]], None],
    checkpoint: Checkpoint,
    judge: Judge | None,
) -> Outcome:
    try:
        with memory_guard():
            return train(
                architecture,
                session.splits,
                spec.train,
                seed=seed,
                sensitivity=session.probe.mean_sensitivity,
                on_epoch=on_epoch,
                checkpoint=checkpoint,
                prune=judge,
            )
    except OutOfMemoryError:
        return Outcome(status=_TOO_LARGE)


def _tell_problems(
    session: Session, planned: TrainedCandidate, outcome: Outcome, checkpoint: Checkpoint, log: TrainingLog
) -> None:
    if checkpoint.problem:
        log.say(text := f"no checkpoint could be written: {checkpoint.problem}")
        session.progress.message(text)
    if checkpoint.unused:
        log.say(text := f"{planned.description} was trained anew, its checkpoint was not used: {checkpoint.unused}")
        session.progress.message(text)
    for name, problem in outcome.measure_problems.items():
        log.say(text := f"{name} could not be measured on {planned.description}: {problem}")
        session.progress.detail(text)


def _store(
    session: Session,
    spec: StudySpec,
    job: Job,
    architecture: ArchitectureSpec,
    outcomes: Sequence[Outcome],
    log: TrainingLog,
) -> bool:
    """Return whether it is stored what the trainings came to."""
    record = summarize(session, job.training, outcomes)
    verdict = f"val_loss {record.val_loss:.4g}, val_error {record.val_error:.4g}" if record.is_ok else record.status
    session.progress.detail(f"trained {record.description} in {record.seconds:.1f} s: {verdict} ({record.reason})")
    log.say(verdict)
    with tempfile.TemporaryDirectory() as folder:
        artifacts = _artifacts(session, spec, record, architecture, outcomes, Path(folder)) if record.is_ok else {}
        artifacts[FILENAME] = Path(folder) / FILENAME
        artifacts[FILENAME].write_text(log.text(), encoding="utf-8")
        return session.storage.finish(spec.name, job, record, artifacts) is not None


def _artifacts(
    session: Session,
    spec: StudySpec,
    record: TrainedCandidate,
    architecture: ArchitectureSpec,
    outcomes: Sequence[Outcome],
    folder: Path,
) -> dict[str, Path]:
    """Return the files of the network of the smallest validation loss by name, written into a folder."""
    splits, best = session.splits, min(outcomes, key=lambda o: o.val_loss)
    config = model_folder.model_config(
        architecture,
        input_shape=splits.input_shape,
        n_outputs=splits.n_outputs,
        mean=splits.mean,
        std=splits.std,
        provenance=provenance(spec, record, splits),
    )
    model_folder.write_model(folder, config, best.state)
    return {f: folder / f for f in (model_folder.CONFIG, model_folder.WEIGHTS)}


def _with_training(spec: StudySpec, training: Mapping[str, Any]) -> StudySpec:
    """Return the study as a candidate is trained by it."""
    return replace(spec, train=changed(spec.train, where="training", **training)) if training else spec


def _judge(session: Session, planned: TrainedCandidate) -> Judge | None:
    """Return what prunes a training; None for the control group, which must stay a random sample."""
    spec = session.spec
    if spec.train.pruner == "none" or planned.chosen_by == CONTROL:
        return None
    trained = session.storage.trained(spec.name)
    return make_judge(spec.train.pruner, trained, study=spec.name, n_epochs=spec.train.n_epochs)


def _checkpoints(session: Session, candidate: str) -> list[Checkpoint]:
    """Return the files from which the trainings of a candidate go on, one a seed, among the study's artifacts."""
    spec, artifacts = session.spec, session.storage.artifacts_of(session.spec.name)
    names = [f"checkpoints/{digest([spec.name, candidate, i])}.pt" for i in range(spec.train.seeds)]
    # What a seed came to is stored with the others', so that it is kept until these are done.
    return [
        Checkpoint(artifacts, name, seconds=spec.train.checkpoint_seconds, keeps_end=i + 1 < spec.train.seeds)
        for i, name in enumerate(names)
    ]
