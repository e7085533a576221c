"""Files of trained networks, checkpoints and logs: kept by one of Optuna's artifact stores, in a folder or a bucket."""

from __future__ import annotations

import io
import json
import mimetypes
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts import ArtifactMeta, download_artifact, get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from ..core.boundary import reading
from ..core.errors import StorageError, first_line
from .artifact_buckets import open_bucket, patience_with
from .artifact_patience import Patience, PatientStore
from .artifact_stores import ArtifactStore, FolderStore, Refused, Unreachable


class Artifacts:
    """The artifacts of a study, or of several.

    Args:
        place: A folder, ``s3://bucket/prefix`` or ``gs://bucket/prefix``; nothing is opened or made before it is used.
        patience: For how long a service is tried again that does not answer; None for what suits it.

    Attributes:
        place: Where they lie.
        folder: The same as a path; None for a bucket.
        service: ``s3`` or ``gs``; None for a folder.
    """

    def __init__(self, place: str | Path, *, patience: Patience | None = None) -> None:
        self.place = str(place)
        self._bucket = re.fullmatch(r"(s3|gs)://([^/]+)/?(.*)", self.place)
        self.service = self._bucket and self._bucket[1]
        self.folder = None if self._bucket else Path(place)
        self._patience = patience

    @cached_property
    def prompt_store(self) -> ArtifactStore:
        """The store without patience: what does not answer fails at once."""
        if self._bucket:
            return open_bucket(*self._bucket.groups())
        assert self.folder is not None
        return FolderStore(self.folder)

    @cached_property
    def store(self) -> ArtifactStore:
        """Optuna's store of the place, which survives that a service is away for some minutes."""
        if not self._bucket:
            return self.prompt_store
        return PatientStore(self.prompt_store, self._patience or patience_with(self._bucket[1]))

    def write(self, files: Mapping[str, Path], ids: Sequence[str] = ()) -> dict[str, str]:
        """Return the attributes by which Optuna finds files at a trial or study, having copied them into the store.

        Args:
            files: File name to file.
            ids: Identifiers to give them; new ones if there are none.

        Raises:
            StorageError: The place cannot be written; nothing of what was given is left in it, if it can be reached.
        """
        attributes = {}
        try:
            for (filename, path), artifact_id in zip(files.items(), ids or self.new_ids(len(files)), strict=True):
                mimetype = mimetypes.guess_type(filename)[0] or "application/octet-stream"
                meta = ArtifactMeta(artifact_id=artifact_id, filename=filename, mimetype=mimetype, encoding=None)
                attributes[f"artifacts:{meta.artifact_id}"] = json.dumps(asdict(meta))
                with path.open("rb") as file:
                    self.store.write(meta.artifact_id, file)
        except (OSError, ArtifactNotFound) as error:
            self.discard(attributes)
            raise StorageError(f"cannot write artifacts into {self.place}: {_reason(error)}") from error
        return attributes

    @staticmethod
    def new_ids(n: int) -> list[str]:
        """Return so many identifiers that nobody has."""
        return [str(uuid.uuid4()) for _ in range(n)]

    def attach_to_study(self, files: Mapping[str, Path], storage: BaseStorage, study_id: int) -> dict[str, str]:
        """Keep files that belong to a study as a whole, such as the log of a worker; Optuna's dashboard shows them.

        As Optuna's ``upload_artifact`` does for a study, but the study refers to what is written already.

        Args:
            files: File name to file.
            storage: Optuna's storage.
            study_id: The study's identifier in it.

        Returns:
            The system attributes that the study has for them now.

        Raises:
            StorageError: The place cannot be written; the study refers to none of the files then.
        """
        attributes = self.write(files)
        for key, value in attributes.items():
            storage.set_study_system_attr(study_id, key, value)
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
        with reading(f"what is stored of the artifacts of {what} cannot be read", kind=StorageError):
            metas = get_all_artifact_meta(trial, storage=storage)
        ids = [m.artifact_id for m in metas if m.filename == filename]
        if not ids:
            raise StorageError(f"{what} has no artifact {filename!r}")
        try:
            download_artifact(artifact_store=self.store, artifact_id=ids[-1], file_path=str(destination))
        except (Refused, Unreachable) as error:
            raise StorageError(f"the artifact {filename!r} of {what} cannot be read from {error}") from error
        except (OSError, ArtifactNotFound) as error:
            raise StorageError(
                f"the artifact {filename!r} of {what} is not in {self.place}; name the right place with --artifacts"
            ) from error

    # -- files by name, such as checkpoints -------------------------------------------------------------------------

    def put(self, name: str, write_into: Callable[[BinaryIO], object]) -> None:
        """Keep a file under a name, in place of the earlier one; at once or not at all.

        Args:
            name: Its name.
            write_into: Writes it into what it is given: in a folder the file itself, for a bucket one in memory.

        Raises:
            StorageError: The place cannot be written; the earlier file is still there.
        """
        try:
            if isinstance(self.prompt_store, FolderStore):
                self.prompt_store.save(name, write_into)
            else:
                write_into(content := io.BytesIO())
                content.seek(0)
                self.prompt_store.write(name, content)
        except (OSError, ArtifactNotFound) as error:
            raise StorageError(_reason(error)) from error

    def get(self, name: str) -> BinaryIO | None:
        """Return a file, open; None if there is none of this name, or a folder's cannot be read.

        Raises:
            StorageError: The service refuses, or does not answer.
        """
        try:
            return self.store.open_reader(name)
        except Refused as error:
            raise StorageError(str(error)) from error
        except ArtifactNotFound:
            return None
        except OSError as error:
            if self.folder is not None:
                return None
            raise StorageError(str(error)) from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and its place can be written."""
        with suppress(OSError, ArtifactNotFound):
            self.store.remove(name)

    def has_files_of(self, trial: FrozenTrial, storage: BaseStorage) -> bool:
        """Return whether all artifacts of a trial are here."""
        for meta in get_all_artifact_meta(trial, storage=storage):
            if (file := self.get(meta.artifact_id)) is None:
                return False
            file.close()
        return True

    def discard(self, attributes: Mapping[str, str]) -> None:
        """Remove what :meth:`write` has written, if it can be reached, as no trial will refer to it."""
        for key in attributes:
            with suppress(OSError, ArtifactNotFound):
                self.prompt_store.remove(key.removeprefix("artifacts:"))


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or first_line(error)
