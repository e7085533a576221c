"""The picture of a trained network that is kept with its weights, where the dashboard shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..architectures import ArchitectureSpec
from ..architectures.outline import outline
from ..core.candidates import TrainedCandidate
from ..core.errors import first_line
from ..report.network_picture import network_picture
from .session import Session

FILENAME = "network.svg"


def picture_file(
    folder: Path, session: Session, architecture: ArchitectureSpec, record: TrainedCandidate
) -> dict[str, Path]:
    """Return the file of a picture, written into a folder."""
    path = folder / FILENAME
    path.write_text(network_picture(record, outline_of(session, architecture)), encoding="utf-8")
    return {FILENAME: path}


def outline_of(session: Session, architecture: ArchitectureSpec) -> list[list[Any]]:
    """Return what a network is made of; nothing, which is told, where that cannot be known."""
    splits = session.splits
    try:
        parts = outline(architecture, splits.input_shape, splits.n_outputs)
    except Exception as error:  # a module of the user's own may do anything; there is no drawing then
        session.progress.detail(f"the network cannot be drawn: {first_line(error)}")
        return []
    return [list(part) for part in parts]
