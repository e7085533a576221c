"""What a script or a notebook adds to all that is found by name."""

from __future__ import annotations

from typing import Any, TypeVar

from ..architectures import FAMILIES
from ..core.errors import InvalidInputError
from ..core.registry import Registry
from ..data import DATASETS
from ..metrics import METRICS
from ..recordings import RECORDINGS
from .sampler import SAMPLERS

T = TypeVar("T")

REGISTRIES: tuple[Registry[Any], ...] = (FAMILIES, DATASETS, METRICS, RECORDINGS, SAMPLERS)


def register(thing: T) -> T:
    """Return a family, data set, metric, recording or sampler, which is known by its name in this process from now on.

    Studies, spaces and commands of this process then find it as they find what is bundled. Other processes do not: what
    they shall find too is installed, with an entry point of the group ``nas_sens.families`` (``datasets``, ``metrics``,
    ``recordings``, ``samplers``).

    Args:
        thing: A class that derives from ArchitectureSpec, a Dataset, a Metric, a Recording or a Sampler. It may be used
            as a decorator of a class.

    Raises:
        InvalidInputError: It is none of these, or its name is taken by what is bundled or installed.
    """
    for registry in REGISTRIES:
        if registry.accepts(thing):
            registry.register(thing)
            return thing
    wanted = ", ".join(registry.expected for registry in REGISTRIES)
    raise InvalidInputError(f"only one of these can be registered: {wanted}; given {thing!r}")
