"""One copy of the data a machine: a file that the processes of a search map into their memory.

    with tempfile.TemporaryDirectory() as folder:
        path = share(splits, folder)      # once, in the process that starts the others
        ...                               # they call open_shared(path)

What processes read of a mapped file lies in memory once, in the system's page cache, however many they are.
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ..core.errors import StorageError, first_line
from ..core.identity import digest
from ..core.inputs import mapped
from ..core.whole_file import whole_file
from .pictures import Pictures
from .pixel_sources import InMemory
from .splits import Splits

_DAMAGED = (RuntimeError, EOFError, KeyError, ValueError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile)
_TUPLES = ("mean", "std", "class_names", "feature_names", "notes")


def share(splits: Splits, folder: str | Path) -> Path:
    """Write data into a file for :func:`open_shared`, unless they are there; a file is whole or not there.

    The process that calls this still has its own copy; it saves that by going on with what :func:`open_shared` returns.

    Args:
        splits: The data, on any device.
        folder: Where to put the file, on a disk of this machine. Whoever made the folder removes it; processes that
            have the file open keep it until they end.

    Returns:
        The path of the file, which only the same data have.

    Raises:
        StorageError: It cannot be written.
    """
    values = {f.name: getattr(splits, f.name) for f in fields(splits)}
    parts = {k: v for k, v in values.items() if k[:2] in ("x_", "y_", "w_") and v is not None}
    pictures = {k: parts.pop(k) for k, v in list(parts.items()) if isinstance(v, Pictures)}
    tensors = {k: mapped(lambda t: _alone(t.cpu()), v) for k, v in parts.items()}
    rest = {k: list(v) if k in _TUPLES else v for k, v in values.items() if k not in tensors and k not in pictures}
    path = Path(folder) / f"{splits.fingerprint}-{digest(rest)}.data"
    if path.exists():
        return path
    raw = {k: _raw(v) for k, v in pictures.items()}
    try:
        # Every tensor begins at a multiple of 64 bytes, as in memory: results may depend on that in the last bits.
        with whole_file(path) as file:
            torch.save({"tensors": tensors, "rest": rest, "pictures": raw}, file)
    except (OSError, RuntimeError) as error:  # PyTorch raises the latter on a full disk
        raise StorageError(
            f"the data cannot be shared in {folder}: {first_line(error)}; TMPDIR names another folder"
        ) from error
    return path


def open_shared(path: str | Path) -> Splits:
    """Return the data of a file that :func:`share` wrote, on the CPU, without reading or copying them.

    They are read when they are used. Writing into these tensors changes this process's view only, and costs it a copy
    of what it changes.

    Raises:
        StorageError: There is no such file, or it is damaged.
    """
    try:
        content: dict[str, Any] = torch.load(Path(path), map_location="cpu", weights_only=True, mmap=True)
        rest: dict[str, Any] = {k: tuple(v) if k in _TUPLES else v for k, v in content["rest"].items()}
        pictures: dict[str, Any] = {
            k: Pictures(InMemory(v.pop("pixels")), **_as_given(v)) for k, v in content["pictures"].items()
        }
        return Splits(**content["tensors"], **pictures, **rest)
    except (*_DAMAGED, OSError) as error:
        reason = first_line(error)
        raise StorageError(f"the shared data {path} cannot be read: {reason}; start the search again") from error


def _raw(x: Pictures) -> dict[str, Any]:
    """Return pictures in memory as plain values and a tensor of their bytes.

    Raises:
        StorageError: They are streamed: every process has them from their files.
    """
    if not isinstance(x.source, InMemory) or x.rows is not None:
        raise StorageError("pictures that are streamed are shared by their files and need no copy")
    known: dict[str, Any] = {f: getattr(x, f) for f in ("scale", "per_input")}
    return {"pixels": _alone(x.source.pixels.cpu()), **known, "mean": list(x.mean), "std": list(x.std)}


def _as_given(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if k in _TUPLES else v for k, v in values.items()}


def _alone(x: torch.Tensor) -> torch.Tensor:
    """Return a tensor that is all of its memory, as PyTorch writes that as a whole."""
    is_alone = x.is_contiguous() and x.untyped_storage().nbytes() == x.nbytes
    return x if is_alone else x.clone(memory_format=torch.contiguous_format)
