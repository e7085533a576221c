"""Data sets: one per file with a ``load`` function, found by looking into this package."""

from __future__ import annotations

import importlib
import pkgutil

from ..declarations import find
from ..errors import InvalidInputError
from .samples import LoadOptions, Samples, Task
from .splits import DataSpec, Splits, split

__all__ = ["DataSpec", "Samples", "Splits", "Task", "dataset_names", "load_data"]

_HELPERS = ("samples", "splits")


def dataset_names() -> dict[str, str]:
    """Return every data set's name with the first line of its description."""
    names = [i.name for i in pkgutil.iter_modules(__path__) if not i.name.startswith("_") and i.name not in _HELPERS]
    docs = {n: (importlib.import_module(f"{__name__}.{n}").__doc__ or "").splitlines()[0] for n in sorted(names)}
    return docs


def load_data(spec: DataSpec) -> Splits:
    """Return the data that ``spec`` declares, split, on the CPU.

    Raises:
        InvalidInputError: The data set is unknown, missing or unusable.
    """
    name, _, argument = spec.name.partition(":")
    find(dataset_names(), name, "data set")
    module = importlib.import_module(f"{__name__}.{name}")
    takes_argument = getattr(module, "TAKES_ARGUMENT", False)
    if takes_argument != bool(argument):
        wanted = f"{name}:{getattr(module, 'ARGUMENT', 'PATH')}" if takes_argument else name
        raise InvalidInputError(f"data set {name!r} is written {wanted!r}; given {spec.name!r}")
    for key in ("target", "image_size"):
        if getattr(spec, key) is not None and key not in getattr(module, "OPTIONS", ()):
            raise InvalidInputError(
                f"data set {name!r} takes no {key}; given {key} = {getattr(spec, key)!r}; remove it"
            )
    size = spec.image_size
    options = LoadOptions(
        argument=argument,
        target=spec.target,
        task=spec.task,
        image_size=(size, size) if isinstance(size, int) else size,
        root=spec.root,
        download=spec.download,
    )
    samples: Samples = module.load(options)
    if spec.task not in ("auto", samples.task):
        raise InvalidInputError(f"data set {name!r} is for {samples.task}; given task = {spec.task!r}")
    return split(samples, spec)
