"""Checkpoint of a training: written whole or not at all, read only if it is intact and of the same training."""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, BinaryIO, Protocol

import torch

from ..architectures import ArchitectureSpec
from ..core.errors import StorageError, first_line
from ..core.identity import digest
from ..data import Splits
from ..study.train_spec import TrainSpec


class Files(Protocol):
    """Where checkpoints lie: files by name, each of which is whole."""

    def put(self, name: str, write_into: Callable[[BinaryIO], object]) -> None:
        """Keep what is written in place of the earlier file, at once or not at all; a StorageError if that fails."""

    def get(self, name: str) -> BinaryIO | None:
        """Open a file; None if there is none."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and can be."""


_WORTH_A_THREAD = 1 << 16  # bytes
_MARK = b"nas_sens checkpoint 1"  # another number whenever `TrainingRun.state` holds other things


def identity_of(
    architecture: ArchitectureSpec, splits: Splits, spec: TrainSpec, *, seed: int, device: torch.device, code: str = ""
) -> str:
    """Return what a checkpoint and a training must have in common.

    Args:
        architecture: What is trained.
        splits: On what.
        spec: How.
        seed: Seed of the training.
        device: Where.
        code: Digest of a trainer of the user's own, or of the weights that the tool's own training begins from; ""
            for its own training from random weights.
    """
    protocol = {k: v for k, v in asdict(spec).items() if k not in ("seeds", "checkpoint_seconds")}
    where = [device.type, torch.__version__, *([code] if code else [])]
    return digest([architecture.digest, protocol, seed, splits.fingerprint, *where])


class Checkpoint:
    """The file that a training goes on from.

    It is PyTorch's, of tensors and plain values, with a digest of all that at its end: PyTorch checks none of its
    bytes, and a training that goes on from altered weights ends like any other. Nothing of a file is used whose digest
    is not right, and reading it runs no code that it may hold (``weights_only``). A training is worth more than its
    checkpoint: where that cannot be written or used, ``problem`` or ``unused`` says why, and it goes on or begins anew.

    Args:
        files: Where it lies.
        name: Its name there.
        seconds: Time between two states that are written.
        keeps_end: Whether the state at the end of the training is written too.

    Attributes:
        problem: Why the file could not be written; "" if it could.
        unused: Why the training begins anew though there is a file; "" if it does not, or there is none.
    """

    def __init__(self, files: Files, name: str, *, seconds: float = 30.0, keeps_end: bool = False) -> None:
        self.name, self.keeps_end = name, keeps_end
        self.problem = self.unused = ""
        self._files, self._seconds = files, seconds
        self._written = time.monotonic()

    def is_due(self, *, is_over: bool) -> bool:
        """Return whether the present state is to be written."""
        return self.keeps_end if is_over else time.monotonic() - self._written >= self._seconds

    def write(self, state: Mapping[str, Any], *, identity: str) -> None:
        """Write a state in place of the earlier one.

        Args:
            state: Tensors, numbers, texts, and lists and dicts of these.
            identity: Says which training it is of.
        """
        content = {"identity": identity, "state": dict(state)}
        try:
            self._files.put(self.name, lambda file: _save(content, file))
        except (StorageError, OSError, RuntimeError) as error:
            cause = error.__context__  # of PyTorch's RuntimeError, which only says that its file ends too early
            self.problem = first_line(cause if isinstance(cause, OSError) else error)
        self._written = time.monotonic()  # a slow store does not take the time of the training

    def read(self, *, identity: str) -> dict[str, Any] | None:
        """Return the state written last, on the CPU; None if there is none of ``identity`` that is intact.

        Raises:
            StorageError: The store does not answer, so that nobody knows whether there is one.
        """
        if (file := self._files.get(self.name)) is None:
            return None
        try:
            with file:
                content = _load(file)
        except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as e:
            self.unused = f"it cannot be read: {first_line(e)}"
            return None
        if content.get("identity") != identity:
            self.unused = "it is of other data, another protocol, another kind of device or another PyTorch"
            return None
        state: dict[str, Any] = content["state"]
        return state

    def remove(self) -> None:
        """Remove the file."""
        self._files.remove(self.name)


class _Digesting:
    """A file that is written, and the digest of what was written so far, which another thread takes meanwhile."""

    def __init__(self, file: BinaryIO, thread: Executor) -> None:
        self._file, self._thread = file, thread
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        if len(data) < _WORTH_A_THREAD:
            self.sha256.update(data)
            return self._file.write(data)
        digested = self._thread.submit(self.sha256.update, data)
        try:
            return self._file.write(data)
        finally:
            digested.result()  # what is written may be gone when this returns

    def flush(self) -> None:
        self._file.flush()


def _save(content: Mapping[str, Any], file: BinaryIO) -> None:
    with ThreadPoolExecutor(1) as thread, _without_crc():
        digesting = _Digesting(file, thread)
        torch.save(content, digesting)  # type: ignore[arg-type]  # it only writes
    file.write(digesting.sha256.digest() + _MARK)


@contextmanager
def _without_crc() -> Iterator[None]:
    """Have PyTorch take no checksum, which it never compares and which takes as long as the digest."""
    if not hasattr(torch.serialization, "set_crc32_options"):  # before PyTorch 2.6
        yield
        return
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        yield
    finally:
        torch.serialization.set_crc32_options(before)


def _load(file: BinaryIO) -> dict[str, Any]:
    """Return what was saved: the bytes that are used are those whose digest was taken.

    Raises:
        ValueError: The file is none of this kind, or is damaged.
    """
    shutil.copyfileobj(file, whole := io.BytesIO(), 1 << 20)
    digest = hashlib.sha256()
    n = whole.tell() - digest.digest_size - len(_MARK)
    with whole.getbuffer() as view:
        if n < 0 or view[n + digest.digest_size :] != _MARK:
            raise ValueError("it ends too early, or this version of nas_sens did not write it")
        digest.update(view[:n])
        if view[n : n + digest.digest_size] != digest.digest():
            raise ValueError("it is damaged")
    whole.truncate(n)
    whole.seek(0)
    content: dict[str, Any] = torch.load(whole, map_location="cpu", weights_only=True)
    return content
