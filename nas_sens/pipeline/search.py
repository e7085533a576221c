"""The whole story: declare, prepare, enter, score, train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ..core.errors import InvalidInputError
from ..core.progress import Progress
from ..data import DataSpec, Splits, load_data
from ..data.account import account_of
from ..data.machine_copy import shared_on_this_machine
from ..results.search_result import SearchResult, read_result
from ..study.own_trainer import TOLD
from ..study.study_spec import StudySpec
from .declare import declare
from .prepare import prepare
from .score_stage import score_candidates
from .session import Session, enter
from .settings import Settings
from .team import local_team
from .train_stage import require_trainer, train_selected
from .workers import Workers, run_workers


def search(
    study: str | Path | StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    n_candidates: int | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    name: str | None = None,
    train: str | Callable[..., Any] | None = None,
    full: bool = False,
    workers: Workers | None = None,
    devices_per_training: int = 1,
    progress: Progress | None = None,
) -> SearchResult:
    """Sample, score, select and train what a study declares; called again, it goes on where it was.

    Args:
        study: A bundled name, a TOML file or a StudySpec.
        storage: SQLAlchemy URL; None for ``OPTUNA_STORAGE`` or ``sqlite:///nas_sens.db``.
        artifacts: Folder or bucket (``s3://…``, ``gs://…``) for weights, checkpoints and logs; None for what the study
            remembers, which is a folder beside the SQLite file if none was ever given.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, ``xpu``: see
            :func:`nas_sens.core.device.resolve_device`.
        n_candidates: Overrides ``[search] n_candidates``; so ``top_k``, ``seed`` and ``name``.
        top_k: See ``n_candidates``.
        seed: See ``n_candidates``.
        name: See ``n_candidates``.
        train: A function of one's own that trains a network, in place of ``[train] trainer``.
        full: Whether to take the study at the full size that its file declares in ``[full]``.
        workers: Processes that do the work; None for this one alone.
        devices_per_training: Number of devices, of processes on the CPU, that train one network together; of workers
            it is theirs.
        progress: Where to report progress to.

    Returns:
        Everything that the study holds now.

    Raises:
        InvalidInputError: The declaration is wrong, or the study in the database was made with another one.
        StorageError: The database or the artifact store cannot be used.
    """
    spec = declare(study, full=full, n_candidates=n_candidates, top_k=top_k, seed=seed, name=name, trainer=train)
    with local_team(devices_per_training if workers is None else 1, str(device)) as team:
        session = open_study(
            spec,
            storage=storage,
            artifacts=artifacts,
            device=device,
            progress=progress,
            settings=Settings(team=team),
            is_shared=workers is not None or team is not None,
            will_train=True,
        )
        complete(session, workers, device=str(device), artifacts=artifacts)
        return read_result(session.storage, session.spec.name)


def open_study(
    spec: StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    settings: Settings | None = None,
    is_shared: bool = False,
    will_train: bool = False,
) -> Session:
    """Return a declared study, prepared and entered: ready to be scored and trained.

    Args:
        spec: What :func:`~nas_sens.pipeline.declare.declare` returned.
        storage: See :func:`search`.
        artifacts: See :func:`search`.
        device: See :func:`search`.
        progress: See :func:`search`.
        settings: How this process works on it.
        is_shared: Whether other processes on this machine use the same copy of the data.
        will_train: Whether it shall be trained, too, so that there must be something that can.

    Raises:
        InvalidInputError: Data or database do not go with the declaration.
        StorageError: The database cannot be used.
    """
    if spec.train.trainer == TOLD:
        raise InvalidInputError(
            f"the trainings of study {spec.name!r} are asked for and told of by a program of its own "
            "(nas_sens.open_search); run that one"
        )
    prepared = prepare(spec, device=device, load=_load_shared if is_shared else load_data)
    if will_train:  # before a study is made
        require_trainer(prepared)
    session = enter(prepared, storage=storage, artifacts=artifacts, progress=progress, settings=settings)
    for line in account_of(prepared.splits):  # once all is checked: an error is one line alone
        session.progress.message(line)
    return session


def complete(
    session: Session, workers: Workers | None, *, device: str = "auto", artifacts: str | Path | None = None
) -> None:
    """Score and train what a session's study declares, in this process alone or by workers.

    Args:
        session: The study.
        workers: Who does the work; None for this process.
        device: See :func:`search`.
        artifacts: See :func:`search`.
    """
    if workers is None:
        score_candidates(session)
    train_all(session, workers, device=device, artifacts=artifacts)


def train_all(
    session: Session, workers: Workers | None, *, device: str = "auto", artifacts: str | Path | None = None
) -> None:
    """Train what a session's study declares, in this process alone or by workers; see :func:`complete`."""
    require_trainer(session)
    if workers is None:
        train_selected(session)
    else:
        run_workers(session, workers, device=device, artifacts=None if artifacts is None else str(artifacts))
    _look_after_artifacts(session)


def _look_after_artifacts(session: Session) -> None:
    """Remove what killed workers left among the artifacts, and tell of networks that lack theirs."""
    storage, name, tell = session.storage, session.spec.name, session.progress.message
    if swept := storage.sweep(name):
        session.progress.detail(f"{len(swept)} artifacts that killed workers had left were removed")
    if missing := storage.without_artifacts(name):
        where = storage.artifacts_of(name).place
        tell(
            f"{len(missing)} trained networks cannot be exported, as their files are not in {where} any more (trials "
            f"{', '.join(map(str, missing[:5]))}{', …' if len(missing) > 5 else ''}); bring them back, or name the "
            "right place with --artifacts"
        )


def _load_shared(spec: DataSpec) -> Splits:
    return shared_on_this_machine(lambda: load_data(spec))
