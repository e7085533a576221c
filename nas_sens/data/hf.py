"""hf:NAME: a data set of the Hugging Face hub, or hf:NAME:CONFIG, or a folder that its save_to_disk wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InvalidInputError, NasSensError
from ._table import encode_table, table_samples
from .encoded import digest_of
from .part_names import PARTS, parts_of
from .picture_sets import picture_samples
from .samples import LoadOptions, Samples

ARGUMENT = "NAME"
OPTIONS = ("target", "image_size", "drop", "load", "workers")


def load(options: LoadOptions) -> Samples:
    """Return a data set with one column of images, or with columns of numbers and text as in a CSV file.

    The splits ``train``, ``validation`` and ``test`` are taken where they are there. The target is the column that
    ``options.target`` names, else the only column of class labels. A name of the hub needs ``download = true``, and is
    kept in ``options.root`` then; a folder that ``save_to_disk`` wrote does not.

    Raises:
        InvalidInputError: The package ``datasets`` is missing, or the data set cannot be used.
        NasSensError: The download failed.
    """
    source = f"hf:{options.argument}"
    parts, notes = _parts(_open(options, source), source)
    features = parts["train"].features
    target = options.target or _label_column(features, source)
    if target not in features:
        raise InvalidInputError(f"{source}: has no column {target!r} to predict; columns: {', '.join(features)}")
    classes = tuple(getattr(features[target], "names", None) or ())
    images = [c for c, feature in features.items() if type(feature).__name__ == "Image"]
    if len(images) > 1:
        raise InvalidInputError(f"{source}: one column of images is required, given {', '.join(images)}")
    if images:
        if options.drop:
            raise InvalidInputError(f"{source}: holds pictures, of which there is no column to drop; remove drop")
        samples = _image_samples(parts, images[0], target, classes, options, source)
        return samples.with_notes(notes)
    frames = [part.to_pandas() for part in parts.values()]
    given = replace(options, target=target, task="classification" if classes else options.task)
    table = encode_table(frames, given, source=source)
    if classes:  # the labels as they are, so that they keep their place in the list of names
        table = _with_labels(table, [f[target].to_numpy() for f in frames], classes)
    pairs = dict(zip(parts, table.parts, strict=True))
    samples = table_samples(table, source=source, test=pairs.get("test"), val=pairs.get("val"))
    return samples.with_notes(notes)


def _with_labels(table: Any, labels: list[np.ndarray], classes: tuple[str, ...]) -> Any:
    pairs = tuple((x, y) for (x, _), y in zip(table.parts, labels, strict=True))
    return replace(table, parts=pairs, class_names=classes)


def _image_samples(
    parts: dict[str, Any], column: str, target: str, classes: tuple[str, ...], options: LoadOptions, source: str
) -> Samples:
    from datasets import Image

    mode = parts["train"].features[column].mode
    undecoded = {
        name: part.select_columns([column]).cast_column(column, Image(decode=False)) for name, part in parts.items()
    }

    encoded = _Rows(undecoded, column, source=source)
    rows: dict[str, tuple[int, int]] = {}
    start = 0
    for name, part in parts.items():
        rows[name] = start, start + len(part)
        start += len(part)
    labels = np.concatenate([np.asarray(part[target][:]) for part in parts.values()])
    task: Any = "regression" if options.task == "regression" else "classification"
    names = () if task == "regression" else classes
    return picture_samples(encoded, labels, rows, options, mode=mode, task=task, class_names=names)


class _Rows:
    """Pictures in a column of a data set's parts."""

    def __init__(self, parts: dict[str, Any], column: str, *, source: str) -> None:
        self.source, self._parts, self._column = source, parts, column
        self._ends = np.cumsum([len(part) for part in parts.values()])
        self._prints = [getattr(part, "_fingerprint", "") for part in parts.values()]
        self.place = " ".join(self._prints) if all(self._prints) else ""

    def __len__(self) -> int:
        return int(self._ends[-1])

    def _at(self, i: int) -> tuple[int, int]:
        part = int(np.searchsorted(self._ends, i, side="right"))
        return part, i - (int(self._ends[part - 1]) if part else 0)

    def name(self, i: int) -> str:
        part, row = self._at(i)
        return f"row {row} of {list(self._parts)[part]}"

    def read(self, i: int) -> bytes:
        part, row = self._at(i)
        name = list(self._parts)[part]
        picture = self._parts[name][row][self._column]
        if picture is None:
            raise InvalidInputError(f"{self.source}: row {row} of {name} has no picture; remove such rows")
        try:
            return Path(picture["path"]).read_bytes() if picture["bytes"] is None else picture["bytes"]
        except OSError as error:
            raise InvalidInputError(f"{self.source}: {self.name(i)} cannot be read ({error.strerror})") from error

    def stamp(self, i: int) -> bytes:
        part, row = self._at(i)
        return digest_of(f"{self._prints[part]} {row}".encode()) if self.place else b""


def _open(options: LoadOptions, source: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InvalidInputError(
            f"{source}: needs the package datasets; install it with: pip install 'nas-sens[huggingface]'"
        ) from error
    folder = Path(options.argument).expanduser()
    if folder.is_dir():
        try:
            return datasets.load_from_disk(str(folder))
        except (OSError, ValueError) as error:
            raise InvalidInputError(
                f"{source}: is no folder that save_to_disk of datasets wrote: {_line(error)}"
            ) from error
    if not options.download:
        raise InvalidInputError(
            f"{source}: there is no such folder, and a name of the Hugging Face hub needs download = true in [data]"
        )
    name, _, configuration = options.argument.partition(":")
    try:
        return datasets.load_dataset(name, configuration or None, cache_dir=options.root)
    except ValueError as error:  # an unknown configuration
        raise InvalidInputError(f"{source}: {_line(error)}") from error
    except (OSError, RuntimeError) as error:
        raise NasSensError(f"data {source!r} could not be downloaded into {options.root!r}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _parts(loaded: Any, source: str) -> tuple[dict[str, Any], list[str]]:
    """Return the splits as parts, "train" first, and a line on those that are left out.

    Raises:
        InvalidInputError: There is no split for training, or two mean the same part.
    """
    if not isinstance(loaded, dict):
        return {"train": loaded}, []
    if len(loaded) == 1:
        return {"train": next(iter(loaded.values()))}, []
    found = parts_of(loaded)
    by_part = {part: [name for name in found if found[name] == part] for part in PARTS}
    for part, names in by_part.items():
        if len(names) > 1:
            raise InvalidInputError(
                f"{source}: the splits {', '.join(names)} mean the same part ({part}); save the one that is meant alone"
            )
    if not by_part["train"]:
        raise InvalidInputError(f"{source}: the split 'train' is required; given {', '.join(loaded)}")
    others = [name for name in loaded if name not in found]
    notes = [f"splits left out, as their names mean no part: {', '.join(others)}"] if others else []
    return {part: loaded[names[0]] for part, names in by_part.items() if names}, notes


def _label_column(features: Any, source: str) -> str:
    labels = [c for c, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    if len(labels) != 1:
        raise InvalidInputError(
            f"{source}: the column to predict is required, set target in [data]; columns: {', '.join(features)}"
        )
    return labels[0]
