"""``ns.refine``: the best networks of a study trained on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.progress import Progress
from ..results.search_result import SearchResult
from ..storage.study_storage import StudyStorage
from ..storage.url import storage_url
from ..study.refine_spec import Start
from .refine import Wish, refined_study
from .search import search
from .workers import Workers


def refine(
    study: str,
    *,
    rank: int = 1,
    finalists: int = 1,
    start: Start = "scratch",
    values: Mapping[str, Any] | None = None,
    name: str | None = None,
    storage: str | None = None,
    artifacts: str | Path | None = None,
    device: str | torch.device = "auto",
    workers: Workers | None = None,
    devices_per_training: int = 1,
    progress: Progress | None = None,
) -> SearchResult:
    """Train the best networks of a study on, with fresh seeds, as a study of their own; called again, it goes on.

    Args:
        study: Name of the study, which is in the database.
        rank: Place in its ranking of the first network.
        finalists: How many from there on.
        start: ``weights`` to begin with those of the best training there, ``scratch`` with random ones.
        values: Other keys, such as ``{"train.epochs": 300, "data.train_samples": None}``.
        name: Name of the new study; None for the earlier one's with ``-refined``.
        storage: See :func:`nas_sens.search`; so all that follows.
        artifacts: See ``storage``.
        device: See ``storage``.
        workers: See ``storage``.
        devices_per_training: See ``storage``.
        progress: See ``storage``.

    Returns:
        Everything that the new study holds now.

    Raises:
        InvalidInputError: There is no such study or rank, or a key may not change.
        StorageError: The database or the artifact store cannot be used.
    """
    database = StudyStorage(storage_url(storage), artifacts=artifacts, must_exist=True)
    wish = Wish(rank=rank, n_finalists=finalists, start=start, name=name, values=values or {})
    spec = refined_study(database, study, wish)
    return search(
        spec,
        storage=storage,
        artifacts=artifacts,
        device=device,
        workers=workers,
        devices_per_training=devices_per_training,
        progress=progress,
    )
