"""One copy of a study's data for all its workers on a machine: who comes first writes it, who leaves last removes it.

Every process that uses the copy holds a shared lock on a file beside it, which the system gives up for those that are
killed. A copy that is left over by them is found and used by the next worker, or removed by it.
"""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..core.errors import StorageError
from .shared import open_shared, share
from .splits import Splits

if sys.platform != "win32":  # where every process has its own copy
    import fcntl

_OWN = "this process has its own copy of the data"


def shared_on_this_machine(
    load: Callable[[], Splits],
    *,
    fingerprint: str | None = None,
    folder: Path | None = None,
    on_problem: Callable[[str], None] = lambda text: None,
) -> Splits:
    """Return data on the CPU of which all processes on this machine that ask for them have one copy together.

    Args:
        load: Loads them, if no process has yet.
        fingerprint: Of the data, if it is known beforehand: they need not be loaded then where there is a copy.
        folder: Where copies lie; None for a folder of this user's among temporary files.
        on_problem: Told why this process has a copy of its own, if it has.
    """
    if sys.platform == "win32":
        return load()
    try:
        place = _own_folder() if folder is None else folder
        copy = _Copy(place, fingerprint) if fingerprint is not None else None
        if copy is not None and (found := copy.find()) is not None:
            return found
    except OSError as error:
        on_problem(f"{_OWN}: {error}")
        return load()
    loaded = load()
    if loaded.is_streamed:  # its files and the cache of decoded pictures are everybody's already
        return loaded
    try:
        if copy is None or loaded.fingerprint != fingerprint:
            copy = _Copy(place, loaded.fingerprint)
        return copy.find() or copy.make(loaded)
    except (OSError, StorageError) as error:
        on_problem(f"{_OWN}: {error}")
        return loaded


class _Copy:
    """The copy of data of one fingerprint, locked as long as this process lives.

    Args:
        folder: Where it lies.
        fingerprint: Of the data.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._locked()
        atexit.register(self._leave)

    def find(self) -> Splits | None:
        """Return what another process has written; None if none has."""
        for path in self._folder.glob(f"{self._fingerprint}-*.data"):
            with suppress(StorageError):  # of another version, or damaged: written anew
                return open_shared(path)
        return None

    def make(self, splits: Splits) -> Splits:
        """Return the data from a copy that is written here, unless another process has written one meanwhile."""
        # A lock of its own: the other one is held by all who use the data, for as long as they live.
        writing = os.open(self._folder / f"{self._fingerprint}.writing", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(writing, fcntl.LOCK_EX)
            if (found := self.find()) is not None:
                return found
            for path in self._folder.glob(f"{self._fingerprint}-*"):  # damaged, or a part that somebody left
                path.unlink()
            return open_shared(share(splits, self._folder))
        finally:
            os.close(writing)

    def _locked(self) -> int:
        """Return the open lock file, which whoever left last may remove at this moment."""
        path = self._folder / f"{self._fingerprint}.lock"
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(file, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):
                if os.fstat(file).st_ino == path.stat().st_ino:
                    return file
            os.close(file)

    def _leave(self) -> None:
        """Remove the copy if no other process uses it."""
        with suppress(OSError):  # others do
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in self._folder.glob(f"{self._fingerprint}*"):
                path.unlink(missing_ok=True)
        os.close(self._lock)


def _own_folder() -> Path:
    """Return this user's folder, in which nobody else can put files.

    Raises:
        OSError: It cannot be made, or another user made it.
    """
    folder = Path(tempfile.gettempdir()) / f"nas_sens_data_{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise OSError(f"{folder} is another user's")
    return folder
