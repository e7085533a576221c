"""Second stage of a search: select and train, alone or together with other processes."""

from __future__ import annotations

from collections.abc import Sequence

from ..architectures import load_spec
from ..core.candidates import ScoredCandidate
from ..core.errors import InvalidInputError
from ..core.progress import Stage
from ..executors.processes import SharedWork
from ..training.outcome_lookup import TrainingTable, with_figures
from .plan import Planned, count_left, plan_training
from .session import Session, describe_study
from .train_summary import record_of
from .training_job import train_one


def train_selected(session: Session) -> None:
    """Train what the rule selects and the control group, each with all its seeds, and store each when it is done.

    Raises:
        InvalidInputError: No candidate can be trained.
    """
    spec, storage, settings = session.spec, session.storage, session.settings
    candidates = _trainable(session, storage.scored(spec.name))
    if not any(c.is_ok for c in candidates):
        reasons = sorted({c.status.split(":")[0] for c in candidates}) or ["nothing is scored"]
        raise InvalidInputError(f"the study {spec.name!r} has no candidate to train: {', '.join(reasons)}")
    shared = SharedWork(storage.claims, spec.name, session.progress, poll_seconds=settings.poll_seconds)
    n_epochs = spec.train.seeds * spec.train.n_epochs if session.table is None else 1
    n_left = count_left(spec, candidates, storage.trained(spec.name))
    with session.progress.stage("train", n_left * n_epochs) as stage:
        while plan := plan_training(spec, candidates, storage.trained(spec.name)):
            _train_all(session, plan, shared, stage, n_epochs)
    describe_study(session)


def _train_all(session: Session, plan: Sequence[Planned], shared: SharedWork, stage: Stage, n_epochs: int) -> None:
    """Train what is planned, unless another process does; return when all of it is done, by whomever."""
    while plan:
        left = []
        for planned in plan:
            with shared.claimed(planned.candidate.digest) as is_ours:
                if is_ours:
                    _train_claimed(session, planned, shared, stage, n_epochs)
                else:
                    left.append(planned)
        if len(left) == len(plan):  # then others work on all of them, and one of them may die
            shared.wait(f"waiting for {len(left)} trainings of other processes")
        plan = left


def _train_claimed(session: Session, planned: Planned, shared: SharedWork, stage: Stage, n_epochs: int) -> None:
    candidate = planned.candidate
    if session.storage.is_trained(session.spec.name, candidate.digest):
        stage.advance(n_epochs, "trained by another process")
    elif session.table is not None:
        _look_up(session, planned, session.table)
        stage.advance(1, candidate.description)
    else:
        train_one(session, planned, advance=stage.advance, beat=lambda: shared.beat(candidate.digest))


def _trainable(session: Session, candidates: list[ScoredCandidate]) -> list[ScoredCandidate]:
    """Return the candidates whose outcome can be had: all of them, or those in the table.

    Raises:
        InvalidInputError: The table has none of them.
    """
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
