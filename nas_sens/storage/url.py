"""Storage URLs: how they are shown, without their passwords, and where trained weights lie beside them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote_plus

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

DEFAULT_STORAGE = "sqlite:///nas_sens.db"


def storage_url(given: str | None) -> str:
    """Return the storage URL: the given one, else ``OPTUNA_STORAGE``, else an SQLite file in the working directory."""
    return given or os.environ.get("OPTUNA_STORAGE") or DEFAULT_STORAGE


def hide_password(url: str) -> str:
    """Return a storage URL without its password."""
    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return re.sub(r"(?<=:)[^:@/]+(?=@)", "***", url)


def redact(text: str, url: str) -> str:
    """Return a text without the URL's password."""
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except SQLAlchemyError:
        return text.replace(url, hide_password(url))
    if not parsed.password:
        return text
    escaped = quote_plus(str(parsed.password))
    return text.replace(url, hide_password(url)).replace(str(parsed.password), "***").replace(escaped, "***")


def default_artifacts(url: str) -> Path:
    """Return the artifact folder of a storage: beside an SQLite file, otherwise in the working directory."""
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        path = Path(parsed.database)
        return path.with_name(f"{path.stem}_artifacts")
    return Path("nas_sens_artifacts")
