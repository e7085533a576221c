"""Second stage of a search: select and train, alone or together with other processes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..architectures import load_spec
from ..core.candidates import CONTROL, PRUNED, ScoredCandidate
from ..core.declarations import changed
from ..core.device import is_out_of_memory
from ..core.errors import InvalidInputError
from ..core.identity import derive_seed, digest
from ..core.progress import Stage
from ..models import model_folder
from ..study.study_spec import StudySpec
from ..training import Outcome, train
from ..training.checkpoint import Checkpoint
from ..training.outcome_lookup import TrainingTable, with_figures
from . import session as session_module
from .plan import Planned, count_left, plan_training
from .pruning import make_judge
from .session import Session, describe_study
from .train_summary import provenance, record_of, summarize


def train_selected(session: Session) -> None:
    """Train what the rule selects and the control group, each with all its seeds, and store each when it is done.

    Raises:
        InvalidInputError: No candidate can be trained.
    """
    spec, storage = session.spec, session.storage
    candidates = _trainable(session, storage.scored(spec.name))
    if not any(c.is_ok for c in candidates):
        reasons = sorted({c.status.split(":")[0] for c in candidates}) or ["nothing is scored"]
        raise InvalidInputError(f"the study {spec.name!r} has no candidate to train: {', '.join(reasons)}")
    n_epochs = spec.train.seeds * spec.train.n_epochs if session.table is None else 1
    n_left = count_left(spec, candidates, storage.trained(spec.name))
    with session.progress.stage("train", n_left * n_epochs) as stage:
        while plan := plan_training(spec, candidates, storage.trained(spec.name)):
            _train_all(session, plan, stage, n_epochs)
    describe_study(session)


def _train_all(session: Session, plan: Sequence[Planned], stage: Stage, n_epochs: int) -> None:
    """Train what is planned, unless another process does; return when all of it is done, by whomever."""
    storage, name = session.storage, session.spec.name
    is_told = False
    while plan:
        left = []
        for planned in plan:
            candidate = planned.candidate.digest
            if not storage.claims.take(name, candidate):
                left.append(planned)
                continue
            try:
                if storage.is_trained(name, candidate):
                    stage.advance(n_epochs, "trained by another process")
                elif session.table is not None:
                    _look_up(session, planned, session.table)
                    stage.advance(1, planned.candidate.description)
                else:
                    _train_one(session, planned, stage.advance)
            finally:
                storage.claims.release(name, candidate)
        if len(left) == len(plan):  # then others work on all of them, and one of them may die
            if not is_told:
                session.progress.message(f"waiting for {len(left)} trainings of other processes")
            is_told = True
            time.sleep(session_module.POLL_SECONDS)
        plan = left


def _trainable(session: Session, candidates: list[ScoredCandidate]) -> list[ScoredCandidate]:
    """Return the candidates whose outcome can be had: all of them, or those in the table."""
    if session.table is None:
        return candidates
    table = session.table
    there = [c for c in candidates if c.is_ok and table.find(load_spec(c.architecture)) is not None]
    n_ok = sum(c.is_ok for c in candidates)
    if not there and n_ok:
        raise InvalidInputError(
            f"the table {table.path} has none of the {n_ok} candidates of study {session.spec.name!r}; it must name "
            "architectures of this search space"
        )
    if len(there) < n_ok:
        session.progress.message(f"{n_ok - len(there)} of {n_ok} candidates are not in {table.path} and are left out")
    return there


def _look_up(session: Session, planned: Planned, table: TrainingTable) -> None:
    """Store the outcome that the table has; there are no weights then."""
    figures = table.find(load_spec(planned.candidate.architecture))
    assert figures is not None, "only candidates of the table are planned"
    record = with_figures(record_of(planned), figures)
    session.storage.add_trained(session.spec.name, record, planned.candidate, {})


def _train_one(session: Session, planned: Planned, advance: Any) -> None:
    splits, candidate = session.splits, planned.candidate
    spec = _with_training(session.spec, candidate)
    architecture = load_spec(candidate.architecture)
    note = candidate.description
    outcomes = []
    checkpoints = _checkpoints(session, candidate.digest)
    judge = _judge(session, planned)
    for i, checkpoint in enumerate(checkpoints):
        n_epochs = 0

        def on_epoch() -> None:
            nonlocal n_epochs
            n_epochs += 1
            advance(1, note)
            if n_epochs % 10 == 0:
                session.storage.claims.beat(spec.name, candidate.digest)

        try:
            outcome = train(
                architecture,
                splits,
                spec.train,
                seed=derive_seed("training", spec.search.seed, i),
                sensitivity=session.probe.mean_sensitivity,
                on_epoch=on_epoch,
                checkpoint=checkpoint,
                prune=judge if i == 0 else None,
            )
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            outcome = Outcome(status="too large: training does not fit in memory")
        advance(spec.train.n_epochs - n_epochs, note)  # stopped early
        outcomes.append(outcome)
        if checkpoint.problem:
            session.progress.message(f"no checkpoint could be written: {checkpoint.problem}")
        for name, problem in outcome.measure_problems.items():
            session.progress.detail(f"{name} could not be measured on {note}: {problem}")
        if outcome.status.startswith(PRUNED):
            advance((spec.train.seeds - 1) * spec.train.n_epochs, note)
            break
    record = summarize(session, planned, outcomes)
    verdict = f"val_loss {record.val_loss:.4g}, val_error {record.val_error:.4g}" if record.is_ok else record.status
    session.progress.detail(f"trained {note} in {record.seconds:.1f} s: {verdict} ({planned.reason})")
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {}
        if record.is_ok:
            best = min(outcomes, key=lambda o: o.val_loss)
            config = model_folder.model_config(
                architecture,
                input_shape=splits.input_shape,
                n_outputs=splits.n_outputs,
                mean=splits.mean,
                std=splits.std,
                provenance=provenance(spec, record, splits),
            )
            model_folder.write_model(Path(folder), config, best.state)
            artifacts = {f: Path(folder) / f for f in (model_folder.CONFIG, model_folder.WEIGHTS)}
        session.storage.add_trained(spec.name, record, candidate, artifacts)
    for checkpoint in checkpoints:
        checkpoint.remove()


def _with_training(spec: StudySpec, candidate: ScoredCandidate) -> StudySpec:
    """Return the study as a candidate is trained by it."""
    return replace(spec, train=changed(spec.train, where="training", **candidate.training))


def _judge(session: Session, planned: Planned) -> Callable[[Sequence[float]], bool] | None:
    """Return what prunes a training; None for the control group, which must stay a random sample."""
    spec = session.spec
    if spec.train.pruner == "none" or planned.chosen_by == CONTROL:
        return None
    trained = session.storage.trained(spec.name)
    return make_judge(spec.train.pruner, trained, study=spec.name, n_epochs=spec.train.n_epochs)


def _checkpoints(session: Session, candidate: str) -> list[Checkpoint]:
    """Return the files from which the trainings of a candidate go on, one a seed, in the artifact folder."""
    spec, folder = session.spec, session.storage.artifacts.folder / "checkpoints"
    names = [digest([spec.name, candidate, i]) for i in range(spec.train.seeds)]
    # What a seed came to is stored with the others', so that it is kept until these are done.
    return [
        Checkpoint(folder / f"{name}.pt", seconds=spec.train.checkpoint_seconds, keeps_end=i + 1 < spec.train.seeds)
        for i, name in enumerate(names)
    ]
