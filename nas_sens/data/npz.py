"""npz:PATH: arrays of your own in a NumPy archive, x and y, or x_train, y_train, x_test and y_test."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..core.errors import InvalidInputError
from .samples import LoadOptions, Samples, Task, make_samples

ARGUMENT = "PATH"


def load(options: LoadOptions) -> Samples:
    """Return the archive's samples; its test set, if it has one, is the test set.

    Labels are classes unless ``options.task`` says "regression".

    Raises:
        InvalidInputError: The file cannot be read or lacks the arrays.
    """  # noqa: DOC501 - of all errors that are caught below, only InvalidInputError is raised again
    path = Path(options.argument).expanduser()
    source = f"npz:{options.argument}"
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise InvalidInputError(f"{source}: is a single array (.npy); save x and y together with numpy.savez")
        with loaded as archive:
            x, y = ("x_train", "y_train") if "x_train" in archive else ("x", "y")
            if missing := [key for key in (x, y) if key not in archive]:
                raise InvalidInputError(
                    f"{source}: the arrays x and y, or x_train and y_train (and x_test, y_test), are required; "
                    f"missing {', '.join(missing)}, given {', '.join(archive.files)}"
                )
            arrays = [archive[x], archive[y]]
            arrays += [archive[key] for key in ("x_test", "y_test") if key in archive]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{source}: cannot be read as a NumPy archive without pickles: {error}") from error
    if len(arrays) == 3:
        raise InvalidInputError(f"{source}: x_test and y_test must be given together")
    task: Task = "regression" if options.task == "regression" else "classification"
    return make_samples(*arrays, source=source, task=task)
