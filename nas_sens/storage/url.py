"""Storage URLs: the one that is meant, and where trained weights lie beside it."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy

DEFAULT_STORAGE = "sqlite:///nas_sens.db"


def storage_url(given: str | None) -> str:
    """Return the storage URL: the given one, else ``OPTUNA_STORAGE``, else an SQLite file in the working directory."""
    return given or os.environ.get("OPTUNA_STORAGE") or DEFAULT_STORAGE


def default_artifacts(url: str) -> Path:
    """Return the artifact folder of a storage: beside an SQLite file, otherwise in the working directory."""
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        path = Path(parsed.database)
        return path.with_name(f"{path.stem}_artifacts")
    return Path("nas_sens_artifacts")
