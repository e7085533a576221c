"""Where the artifacts of a study lie: given, remembered by the study, or beside the database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy

from ..core.errors import InvalidInputError
from ..core.messages import shown
from ..core.secrets import hide_password
from .artifact_check import check_writable
from .artifacts import Artifacts
from .opening import connection_arguments, parse_url
from .url import default_artifacts

ATTRIBUTE = "artifacts"  # user attribute of a study; None or absent for the default


def place_of(given: str | Path) -> str:
    """Return a place in the form in which it is remembered: a folder's absolute path, or ``s3://bucket/prefix``.

    Raises:
        InvalidInputError: It is neither a folder nor a bucket of a known service.
    """
    text = str(given)
    if match := re.match(r"([a-z][a-z0-9+.-]+):/+([^/]*)/*(.*?)/*$", text):  # Path("s3://a") has one slash
        scheme, bucket, prefix = match.groups()
        if "@" in bucket or ":" in bucket:
            raise InvalidInputError(
                "--artifacts must name a bucket without credentials, which its service's own variables or files say "
                f"(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, say); given {shown(hide_password(text))}"
            )
        if scheme not in ("s3", "gs") or not bucket:
            raise InvalidInputError(
                f"--artifacts must be a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX; given {shown(text)}"
            )
        return f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
    folder = Path(os.path.abspath(Path(text).expanduser()))
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"--artifacts must be a folder or a bucket; given the file {folder}; name a folder")
    return str(folder)


def to_remember(
    name: str,
    *,
    url: str,
    given: str | None,
    stored: Mapping[str, Any] | None,
    has_all: Callable[[Artifacts], bool],
) -> dict[str, str | None]:
    """Return the attribute by which a study that is opened for writing remembers where its artifacts lie.

    A study keeps its artifacts in one place. Another one may be given while nothing is stored, or once what is stored
    lies there, too, because it was copied or moved.

    Args:
        name: The study's name.
        url: Its database.
        given: The place that was given, in the form of :func:`place_of`; None for none.
        stored: The study's attributes; None if it is new.
        has_all: Whether a place has the artifacts that the study has stored so far.

    Raises:
        InvalidInputError: The place is another one than that of what is stored, or it cannot be written.
    """
    default = place_of(default_artifacts(url))
    remembered = None if stored is None else stored.get(ATTRIBUTE)
    if given is None and stored is None and not is_beside_database(url):
        given = default  # which is another folder for a command that is run elsewhere
    if given is None:
        check_writable(Artifacts(remembered or default))
        return {}
    now = None if given == default and is_beside_database(url) else given
    check_writable(Artifacts(given))
    if now == remembered:
        return {}
    if not has_all(Artifacts(given)):
        raise InvalidInputError(
            f"the artifacts of study {name!r} lie in {remembered or default}, but --artifacts is {given}, where they "
            "are not; leave --artifacts out, or move them there first"
        )
    return {ATTRIBUTE: now}


def check_place(url: str, given: str | Path | None) -> None:
    """Check, before a database is made, that the artifacts of its first study can be written.

    Args:
        url: The database.
        given: The place that was given; None for the default one.

    Raises:
        InvalidInputError: They cannot, or the place is none.
    """
    place = None if given is None else place_of(given)
    parsed = parse_url(url, hide_password(url))
    if parsed.get_backend_name() == "sqlite" and parsed.database and not os.path.lexists(parsed.database):
        connection_arguments(url, hide_password(url), must_exist=False, timeout=0.0)
        check_writable(Artifacts(place or place_of(default_artifacts(url))))


def is_beside_database(url: str) -> bool:
    """Return whether the default place moves with the database, which is a file then."""
    return sqlalchemy.engine.make_url(url).get_backend_name() == "sqlite"
