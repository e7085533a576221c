"""What the best network of a study takes for what, read from beside its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..core.errors import StorageError
from ..core.mistakes import FILENAME, Mistakes, from_json
from ..storage.study_storage import StudyStorage
from .search_result import SearchResult


def read_mistakes(storage: StudyStorage, result: SearchResult) -> Mistakes | str:
    """Return what the best network takes for what on the validation set; or why nobody knows.

    "" where nobody would ask: without a trained network, without classes, and for a trainer of the user's own.

    Args:
        storage: The database of the study.
        result: What is in it.
    """
    train = result.protocol.get("train", {})
    if result.protocol["data"]["task"] != "classification" or train.get("trainer") or train.get("table"):
        return ""
    if not result.trials or not result.trials[0].is_ok or result.trials[0].number is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILENAME
        try:
            storage.fetch_artifact(result.name, result.trials[0].number, FILENAME, path)
            return from_json(path.read_text(encoding="utf-8"), what=f"{FILENAME} of the best network")
        except StorageError as error:
            return str(error)
