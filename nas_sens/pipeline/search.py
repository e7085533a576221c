"""The whole story: declare, prepare, enter, score, train."""

from __future__ import annotations

from pathlib import Path

import torch

from ..core.progress import Progress
from ..results.search_result import SearchResult, read_result
from ..study.study_spec import StudySpec
from .declare import declare
from .prepare import prepare
from .score_stage import score_candidates
from .session import Session, enter
from .settings import Settings
from .train_stage import train_selected


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
    full: bool = False,
    progress: Progress | None = None,
) -> SearchResult:
    """Sample, score, select and train what a study declares; called again, it goes on where it was.

    Args:
        study: A bundled name, a TOML file or a StudySpec.
        storage: SQLAlchemy URL; None for ``OPTUNA_STORAGE`` or ``sqlite:///nas_sens.db``.
        artifacts: Folder for trained weights; None for one beside the SQLite file.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, ``xpu``: see
            :func:`nas_sens.core.device.resolve_device`.
        n_candidates: Overrides ``[search] n_candidates``; so ``top_k``, ``seed`` and ``name``.
        top_k: See ``n_candidates``.
        seed: See ``n_candidates``.
        name: See ``n_candidates``.
        full: Whether to take the study at the full size that its file declares in ``[full]``.
        progress: Where to report progress to.

    Returns:
        Everything that the study holds now.

    Raises:
        InvalidInputError: The declaration is wrong, or the study in the database was made with another one.
        StorageError: The database or the artifact folder cannot be used.
    """
    spec = declare(study, full=full, n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    session = open_study(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    score_candidates(session)
    train_selected(session)
    return read_result(session.storage, session.spec.name)


def open_study(
    spec: StudySpec,
    *,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Session:
    """Return a declared study, prepared and entered: ready to be scored and trained.

    Args:
        spec: What :func:`~nas_sens.pipeline.declare.declare` returned.
        storage: See :func:`search`.
        artifacts: See :func:`search`.
        device: See :func:`search`.
        progress: See :func:`search`.
        settings: How this process works on it.

    Raises:
        InvalidInputError: Data or database do not go with the declaration.
        StorageError: The database cannot be used.
    """
    prepared = prepare(spec, device=device)
    return enter(prepared, storage=storage, artifacts=artifacts, progress=progress, settings=settings)
