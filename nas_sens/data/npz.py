"""npz:PATH: arrays of your own in a NumPy archive, x and y, or x_train, y_train, x_val, y_val, x_test and y_test."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core.boundary import reading
from ..core.errors import InvalidInputError
from ._twins import pixel_codes, twin_notes
from .bounds import check_size, max_decompressed
from .samples import LoadOptions, Samples, Task, make_samples

ARGUMENT = "PATH"
OPTIONS = ("layout",)

_ROLES = {
    "x": ("x", "image", "images", "data", "input", "inputs", "features"),
    "y": ("y", "label", "labels", "target", "targets"),
}
_PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def load(options: LoadOptions) -> Samples:
    """Return the archive's samples; its validation and test sets, if it has them, are these parts.

    Names of arrays say what they are: ``x`` or ``images``, ``data``, ``inputs``, ``features``; ``y`` or ``labels``,
    ``targets``; with ``train``, ``val`` or ``test`` before or behind (``x_test``, ``test_images``), in any case.
    Arrays of other names are left out. Labels are classes unless ``options.task`` says "regression".

    Raises:
        InvalidInputError: The file cannot be read, is too large, or lacks the arrays.
    """
    source = f"npz:{options.argument}"
    with reading(f"{source}: cannot be read as a NumPy archive without pickles"):
        arrays, notes = _read(Path(options.argument).expanduser(), source)
    pairs = {}
    for part in ("val", "test"):
        given = [key for key in (f"x_{part}", f"y_{part}") if key in arrays]
        if len(given) == 1:
            raise InvalidInputError(f"{source}: x_{part} and y_{part} must be given together; given only {given[0]}")
        if given:
            pairs[part] = arrays[f"x_{part}"], arrays[f"y_{part}"]
    task: Task = "regression" if options.task == "regression" else "classification"
    samples = make_samples(
        arrays["x_train"], arrays["y_train"], *pairs.get("test", ()), val=pairs.get("val"),
        source=source, task=task, notes=notes, layout=options.layout,
    )  # fmt: skip
    pictures = {"train": arrays["x_train"], **{part: pair[0] for part, pair in pairs.items()}}
    is_pictures = samples.x.ndim == 4 and len({(x.dtype, x.shape[1:]) for x in pictures.values()}) == 1
    return replace(samples, notes=(*samples.notes, *_twins(pictures, samples))) if is_pictures and pairs else samples


def _twins(pictures: dict[str, np.ndarray], samples: Samples) -> list[str]:
    """Return a line for each way in which pictures are there more than once, where the archive has parts."""
    labels = {"train": samples.y, "val": samples.y_val, "test": samples.y_test}
    rows: dict[str, tuple[int, int]] = {}
    start = 0
    for part, x in pictures.items():
        rows[part] = start, start + len(x)
        start += len(x)
    every = [x for part in pictures.values() for x in part]  # views, no copies
    y = np.concatenate([np.asarray(labels[part]).reshape(-1) for part in pictures])

    def name(row: int) -> str:
        part = next(part for part, (first, stop) in rows.items() if first <= row < stop)
        return f"x_{part}[{row - rows[part][0]}]"

    return twin_notes(pixel_codes(every), y, rows, name)


def _read(path: Path, source: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays by what they are, such as ``x_train``, and a note on those that are left out.

    Raises:
        InvalidInputError: It is a single array, too large, or lacks arrays.
    """
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        raise InvalidInputError(f"{source}: is a single array (.npy); save x and y together with numpy.savez")
    with loaded as archive:
        names = _meanings(archive.files, source)
        _check_sizes(path, names.values(), source)
        arrays = {key: archive[name] for key, name in names.items()}
        others = [name for name in archive.files if name not in names.values()]
    return arrays, [f"arrays left out: {', '.join(others[:10])}"] if others else []


def _meanings(names: list[str], source: str) -> dict[str, str]:
    """Return what arrays are, such as ``x_train``, to their names.

    Raises:
        InvalidInputError: The training inputs or labels are missing, or two names mean the same.
    """
    found: dict[str, str] = {}
    for name in names:
        if not (key := _meaning(name)):
            continue
        if key in found:
            raise InvalidInputError(
                f"{source}: the arrays {found[key]} and {name} would both be {key}; rename one, or save them without it"
            )
        found[key] = name
    is_split = bool({"x_train", "y_train"} & found.keys())
    if not is_split:
        found |= {f"{role}_train": found.pop(role) for role in "xy" if role in found}
    if missing := [role for role in "xy" if f"{role}_train" not in found]:
        wanted = [f"{m}_train" if is_split else m for m in missing]
        raise InvalidInputError(
            f"{source}: the arrays x and y, or x_train and y_train (and x_test, y_test), are required; "
            f"missing {', '.join(wanted)}, given {', '.join(names[:20])}"
        )
    return {key: name for key, name in found.items() if key not in ("x", "y")}


def _meaning(name: str) -> str:
    """Return what an array of this name is: "x", "y", or one of these with its part; "" if it is something else."""
    words = [w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name)]
    roles = [role for w in words for role, known in _ROLES.items() if w in known]
    parts = [part for w in words for part, known in _PARTS.items() if w in known]
    if len(roles) != 1 or len(parts) > 1 or len(words) != len(roles) + len(parts):
        return ""
    return "_".join([*roles, *parts])


def _check_sizes(path: Path, names: Iterable[str], source: str) -> None:
    """Check what the headers of arrays announce before memory is taken for it.

    Raises:
        InvalidInputError: An array is larger than its file says, or than is allowed.
    """
    total = 0
    with zipfile.ZipFile(path) as archive:
        for name in names:
            member = next(m for m in (f"{name}.npy", name) if m in archive.namelist())
            info = archive.getinfo(member)
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            n_bytes = int(np.prod([int(s) for s in shape], dtype=object)) * dtype.itemsize
            if dtype.kind != "O" and n_bytes > info.file_size:
                raise InvalidInputError(f"{source}: the array {name} is damaged: of shape {shape}, but in a file of "
                                        f"{info.file_size:,} bytes")  # fmt: skip
            if info.file_size > (most := max_decompressed(info.compress_size)):
                raise InvalidInputError(
                    f"{source}: the array {name} of {info.compress_size:,} bytes decompresses to {info.file_size:,}, "
                    f"more than the {most / 2**30:.3g} GiB that are allowed for a file of its size; save it with "
                    "numpy.savez, or raise NAS_SENS_MAX_DATA_GIB"
                )
            total += n_bytes
    check_size(total, f"{source}: its arrays")
