"""Where a trainer of the user's own keeps files while it trains: beside the artifacts, if these lie in a folder."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ..core.identity import digest
from .session import Session


def folder_of(session: Session, candidate: str, seed: int) -> Path:
    """Return the folder of one training; the same one when it goes on after it was killed, on the same machine.

    Args:
        session: The study.
        candidate: Digest of what is trained.
        seed: Seed of the training.
    """
    return _of_candidate(session, candidate) / f"seed-{seed}"


def remove_folder(session: Session, candidate: str) -> None:
    """Remove the folders of a candidate's trainings."""
    shutil.rmtree(_of_candidate(session, candidate), ignore_errors=True)


def _of_candidate(session: Session, candidate: str) -> Path:
    name = session.spec.name
    place = session.storage.artifacts_of(name).folder
    root = Path(tempfile.gettempdir()) / "nas_sens" if place is None else place
    return root.absolute() / "trainings" / digest([session.storage.shown_url, name, candidate])
