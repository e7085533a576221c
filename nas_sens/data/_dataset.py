"""What describes a data set: the record by which the registry of this package finds and names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from .samples import LoadOptions, Samples


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set, or one kind of file that holds one.

    Attributes:
        name: Its name in ``[data] name``, before the colon if it has one.
        load: Returns its samples.
        description: One line.
        argument: What stands behind the colon, such as "PATH"; None where there is no colon.
        options: Which of ``target`` and ``image_size`` it takes.
    """

    name: str
    load: Callable[[LoadOptions], Samples]
    description: str = ""
    argument: str | None = None
    options: tuple[str, ...] = ()


def datasets_in(module: ModuleType) -> list[Dataset]:
    """Return the data set of a module with a function ``load``; its name is the module's."""
    if not hasattr(module, "load"):
        return []
    return [
        Dataset(
            name=module.__name__.rpartition(".")[2],
            load=module.load,
            description=(module.__doc__ or "").partition("\n")[0],
            argument=getattr(module, "ARGUMENT", None),
            options=getattr(module, "OPTIONS", ()),
        )
    ]
