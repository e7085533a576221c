"""Data sets: one per file with a ``load`` function, found by looking into this package."""

from __future__ import annotations

import importlib
import pkgutil

from ..declarations import find
from ..errors import InvalidInputError
from .samples import LoadOptions, Samples
from .splits import DataSpec, Splits, split

__all__ = ["DataSpec", "Samples", "Splits", "dataset_names", "load_data"]

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
        wanted = f"{name}:PATH" if takes_argument else name
        raise InvalidInputError(f"data set {name!r} is written {wanted!r}; given {spec.name!r}")
    samples: Samples = module.load(LoadOptions(argument=argument, root=spec.root, download=spec.download))
    return split(samples, spec)
