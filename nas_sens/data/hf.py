"""hf:NAME: a data set of the Hugging Face hub, or hf:NAME:CONFIG, or a folder that its save_to_disk wrote."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import InvalidInputError, NasSensError
from ._images import stack_images
from ._pillow import File
from ._table import encode_table, table_samples
from ._twins import twin_notes
from .part_names import PARTS, parts_of
from .samples import LoadOptions, Pair, Samples, make_samples

ARGUMENT = "NAME"
OPTIONS = ("target", "image_size", "drop")


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

    def content(name: str, i: int) -> File:
        picture = undecoded[name][i][column]
        if picture is None:
            raise InvalidInputError(f"{source}: row {i} of {name} has no picture; remove such rows")
        return picture["path"] if picture["bytes"] is None else BytesIO(picture["bytes"])

    names = [f"row {i} of {name}" for name, part in parts.items() for i in range(len(part))]
    pixels, notes = stack_images(
        [partial(content, name, i) for name, part in parts.items() for i in range(len(part))],
        names,
        options.image_size,
        source=source,
        mode=mode,
    )
    pairs: dict[str, Pair] = {}
    rows: dict[str, tuple[int, int]] = {}
    start = 0
    for name, part in parts.items():
        rows[name] = start, start + len(part)
        pairs[name] = pixels[start : start + len(part)], np.asarray(part[target][:])
        start += len(part)
    labels = np.concatenate([y for _, y in pairs.values()])
    notes += twin_notes(pixels.transpose(0, 2, 3, 1), labels, rows, names.__getitem__)
    task: Any = "regression" if options.task == "regression" else "classification"
    return make_samples(
        *pairs["train"],
        *pairs.get("test", ()),
        val=pairs.get("val"),
        source=source,
        layout="nchw",
        task=task,
        class_names=() if task == "regression" else classes,
        notes=notes,
    )


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
