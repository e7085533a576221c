"""Data sets: one per file with a ``load`` function, found by looking into this package."""

from __future__ import annotations

import os
import re
from dataclasses import fields

from ..core.errors import InvalidInputError
from ..core.messages import shown
from ..core.registry import Registry
from ..core.user_code import is_name
from ._dataset import Dataset, datasets_in
from .data_spec import DataSpec
from .own import Data, own_samples
from .samples import LoadOptions, Samples, Task
from .splits import Splits, split

__all__ = [
    "DATASETS",
    "Data",
    "DataSpec",
    "Dataset",
    "Samples",
    "Splits",
    "Task",
    "dataset_names",
    "load_data",
    "read_samples",
    "without_path",
]


_OPTIONS = (
    "target",
    "image_size",
    "drop",
    "csv",
    "layout",
    "split",
    "group",
    "weight",
    "load",
    "workers",
)  # of `Dataset.options`

_OF_FUNCTIONS = ("load", "workers")

DATASETS: Registry[Dataset] = Registry(
    "data set",
    package=__name__,
    group="datasets",
    expected="a Dataset",
    things_in=datasets_in,
    accepts=lambda value: isinstance(value, Dataset),
    name_of=lambda dataset: dataset.name,
)


def dataset_names() -> dict[str, str]:
    """Return every data set's name with the first line of its description."""
    return {name: dataset.description for name, dataset in DATASETS.table().items()}


def without_path(name: str) -> str:
    """Return a data set's name without the path in it: a path says where data lie, and not which they are.

    ``folder:/a/x`` becomes ``folder:``, and so does ``hf:`` with a folder; what is no path (``hf:NAME``) stays.
    """
    kind, colon, place = name.partition(":")
    dataset = DATASETS.table().get(kind)
    is_path = dataset is not None and dataset.argument == "PATH"
    is_path |= kind == "hf" and (place.startswith(("/", ".", "~")) or os.path.isdir(place))
    return kind + colon if is_path else name


def load_data(spec: DataSpec) -> Splits:
    """Return the data that ``spec`` declares, split, on the CPU.

    Raises:
        InvalidInputError: The data set is unknown, missing or unusable.
    """
    return split(read_samples(spec), spec)


def read_samples(spec: DataSpec) -> Samples:
    """Return the data that ``spec`` declares, before they are split.

    Raises:
        InvalidInputError: The data set is unknown, missing or unusable.
    """
    name, _, argument = spec.name.partition(":")
    if name not in DATASETS.table() and is_name(spec.name):
        return _own(spec)
    dataset = DATASETS.get(name)
    if (dataset.argument is not None) != bool(argument):
        wanted = name if dataset.argument is None else f"{name}:{dataset.argument}"
        raise InvalidInputError(f"data set {name!r} is written {wanted!r}; given {shown(spec.name)}")
    if re.match(r"[A-Za-z][\w+.-]+:/", argument):
        what = "a name of the hub, as in hf:NAME" if name == "hf" else "a path: download it first, and unpack archives"
        raise InvalidInputError(f"{shown(spec.name)}: addresses cannot be read; give {what}")
    for key in _options_given(spec):
        if key not in dataset.options:
            raise InvalidInputError(
                f"data set {name!r} takes no {key}; given {key} = {getattr(spec, key)!r}; remove it"
            )
    size = spec.image_size
    options = LoadOptions(
        argument=argument,
        target=spec.target,
        task=spec.task,
        image_size=(size, size) if isinstance(size, int) else size,
        drop=spec.drop,
        csv=spec.csv,
        layout=spec.layout,
        split=None if spec.split is None else os.path.expanduser(spec.split),
        group=spec.group,
        weight=spec.weight,
        load=spec.load,
        workers=spec.workers,
        root=os.path.expanduser(spec.root),
        download=spec.download,
    )
    samples = dataset.load(options)
    if spec.task not in ("auto", samples.task):
        raise InvalidInputError(f"data set {name!r} is for {samples.task}; given task = {spec.task!r}")
    return samples


def _own(spec: DataSpec) -> Samples:
    """Return the samples of a user's function, which says itself all that options would.

    Raises:
        InvalidInputError: An option was given, or the function cannot be used.
    """
    for key in _options_given(spec):
        if key not in _OF_FUNCTIONS:
            raise InvalidInputError(f"data of a function ({spec.name}) take no {key}; remove it")
    samples = own_samples(spec.name, LoadOptions(load=spec.load, workers=spec.workers))
    if spec.task not in ("auto", samples.task):
        raise InvalidInputError(f"the data of {spec.name} are for {samples.task}; given task = {spec.task!r}")
    return samples


def _options_given(spec: DataSpec) -> list[str]:
    """Return which of the keys were set that only some data sets take."""
    return [f.name for f in fields(DataSpec) if f.name in _OPTIONS and getattr(spec, f.name) != f.default]
