"""The whole story: sample, score, select, train, store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..core.declarations import changed
from ..core.progress import Progress
from ..results.search_result import SearchResult, read_result
from ..study.load import load_study
from ..study.study_spec import StudySpec
from .score_stage import score_candidates
from .session import open_session
from .train_stage import train_selected

__all__ = ["open_session", "override", "score_candidates", "search", "train_selected"]


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
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
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
    spec = override(load_study(study, full=full), n_candidates=n_candidates, top_k=top_k, seed=seed, name=name)
    session = open_session(spec, storage=storage, artifacts=artifacts, device=device, progress=progress)
    score_candidates(session)
    train_selected(session)
    return read_result(session.storage, session.spec.name)


def override(
    spec: StudySpec,
    *,
    n_candidates: int | None = None,
    top_k: int | None = None,
    control: int | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> StudySpec:
    """Return the study with the given values in place of its own."""
    changes: list[tuple[str, str, Any]] = [
        ("search", "n_candidates", n_candidates),
        ("search", "seed", seed),
        ("select", "top_k", top_k),
        ("select", "control", control),
    ]
    for section, key, value in changes:
        if value is not None:
            spec = replace(spec, **{section: changed(getattr(spec, section), where=section, **{key: value})})
    return spec if name is None else changed(spec, where="", name=name)
