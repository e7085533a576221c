"""The artifacts of all studies of a database as one store, for the dashboard, which has room for one."""

from __future__ import annotations

from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from ..core.errors import NasSensError, StorageError
from ..storage.artifacts import Artifacts
from ..storage.study_storage import StudyStorage


class ArtifactsOfAll:
    """A store that finds an artifact in whichever place a study keeps it, and only reads.

    Args:
        storage: The studies. Those that begin later are found, too.
    """

    def __init__(self, storage: StudyStorage) -> None:
        self._storage = storage

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Return an artifact, open.

        Raises:
            ArtifactNotFound: No study has it, or its place cannot be read.
        """
        problems = []
        for artifacts in self._places():
            try:
                return artifacts.prompt_store.open_reader(artifact_id)
            except (ArtifactNotFound, OSError, NasSensError) as error:
                problems.append(f"{artifacts.place}: {error}")
        raise ArtifactNotFound("; ".join(problems))

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuse.

        Raises:
            StorageError: Always.
        """
        raise StorageError("the dashboard shows artifacts, and takes none")

    def remove(self, artifact_id: str) -> None:
        """Refuse.

        Raises:
            StorageError: Always.
        """
        raise StorageError("the dashboard shows artifacts, and removes none")

    def _places(self) -> list[Artifacts]:
        """Return all places, each once, folders first, which answer at once."""
        found = {a.place: a for a in map(self._storage.artifacts_of, self._storage.study_names())}
        found[self._storage.artifacts.place] = self._storage.artifacts
        return sorted(found.values(), key=lambda a: a.folder is None)
