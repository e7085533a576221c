"""Files of trained networks: a folder that Optuna's artifact store keeps, one file an artifact."""

from __future__ import annotations

import json
import mimetypes
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore, download_artifact, get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from ..core.errors import StorageError


class Artifacts:
    """The artifacts of a storage.

    Args:
        folder: Where they lie; it is made when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def store(self) -> FileSystemArtifactStore:
        """Optuna's store of the folder, which is made if it is not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileSystemArtifactStore(self.folder)

    def write(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Return the attributes by which Optuna finds files at a trial, having copied them into the store.

        Args:
            files: File name to file.

        Raises:
            StorageError: The folder cannot be written; nothing of what was given is left in it.
        """
        attributes = {}
        try:
            store = self.store
            for filename, path in files.items():
                mimetype = mimetypes.guess_type(filename)[0] or "application/octet-stream"
                meta = ArtifactMeta(artifact_id=str(uuid.uuid4()), filename=filename, mimetype=mimetype, encoding=None)
                attributes[f"artifacts:{meta.artifact_id}"] = json.dumps(asdict(meta))
                with path.open("rb") as file:
                    store.write(meta.artifact_id, file)
        except OSError as error:
            for key in attributes:  # no trial will refer to them
                (self.folder / key.removeprefix("artifacts:")).unlink(missing_ok=True)
            raise StorageError(f"cannot write into the artifact folder {self.folder}: {error.strerror}") from error
        return attributes

    def fetch(self, trial: FrozenTrial, storage: BaseStorage, filename: str, destination: Path, *, what: str) -> None:
        """Copy an artifact of a trial to ``destination``.

        Args:
            trial: The trial.
            storage: Optuna's storage that it is in.
            filename: Name of the artifact.
            destination: The file to write.
            what: What the trial is, for messages.

        Raises:
            StorageError: The trial has no such artifact, or its file is missing.
        """
        metas = get_all_artifact_meta(trial, storage=storage)
        ids = [m.artifact_id for m in metas if m.filename == filename]
        if not ids:
            raise StorageError(f"{what} has no artifact {filename!r}")
        try:
            download_artifact(
                artifact_store=FileSystemArtifactStore(self.folder), artifact_id=ids[-1], file_path=str(destination)
            )
        except (OSError, ArtifactNotFound) as error:
            raise StorageError(
                f"the artifact {filename!r} of {what} is not in {self.folder}; name the right folder with --artifacts"
            ) from error
