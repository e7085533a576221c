"""Whether artifacts can be written, asked before a search begins and not when its first training has ended."""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path

from ..core.errors import InvalidInputError, StorageError
from .artifact_buckets import advice
from .artifact_stores import Refused
from .artifacts import Artifacts


def check_writable(artifacts: Artifacts) -> None:
    """Check that artifacts can be written: a bucket is written into, a folder only looked at.

    Raises:
        InvalidInputError: They cannot be, and will not tomorrow.
        StorageError: The service does not answer.
    """
    if artifacts.folder is not None:
        _check_folder(artifacts.folder)
        return
    assert artifacts.service is not None
    name = f"check-{uuid.uuid4()}"
    try:
        artifacts.prompt_store.write(name, io.BytesIO(b"nas_sens can write here"))
        artifacts.prompt_store.remove(name)
    except Refused as error:
        raise InvalidInputError(f"artifacts cannot be kept in {error}; {advice(artifacts.service)}") from error
    except OSError as error:
        raise StorageError(f"artifacts cannot be kept in {error}; check the network and try again") from error


def _check_folder(folder: Path) -> None:
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InvalidInputError(
            f"the artifact folder must be one that can be written; given {folder}, but {there} cannot; give another "
            "one with --artifacts"
        )
