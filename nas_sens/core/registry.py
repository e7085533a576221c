"""One registry for all that is found by name: in a folder, in installed packages, and registered in this process."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar

from .declarations import find
from .errors import InvalidInputError
from .messages import shown
from .user_code import is_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name.

    They are looked for when one is first asked for: in the modules of a folder, and among the entry points of the group
    ``nas_sens.GROUP``, by which an installed distribution adds its own. What a script or a notebook registers is
    known in its process alone.

    Args:
        kind: What they are called in messages, such as "metric".
        package: The package whose modules are looked into.
        group: Last part of the name of the entry points' group.
        expected: What an entry point must name, in words.
        things_in: The things that a module holds.
        accepts: Whether something is one of them.
        name_of: Its name.
        by_code: Returns what a name such as ``module:name`` stands for, which is in no folder; None if none does.
    """

    def __init__(
        self,
        kind: str,
        *,
        package: str,
        group: str,
        expected: str,
        things_in: Callable[[ModuleType], Iterable[T]],
        accepts: Callable[[Any], bool],
        name_of: Callable[[T], str],
        by_code: Callable[[str], T] | None = None,
    ) -> None:
        self.kind, self.package, self.group, self.expected = kind, package, f"nas_sens.{group}", expected
        self.accepts = accepts
        self._things_in, self._name_of, self._by_code = things_in, name_of, by_code
        self._table: dict[str, T] | None = None
        self._registered: dict[str, T] = {}
        self._coded: dict[str, T] = {}

    def table(self) -> dict[str, T]:
        """Return all of them by name, in alphabetical order.

        Raises:
            InvalidInputError: An entry point cannot be loaded, names something else, or has the name of another one.
        """
        if self._table is None:
            self._table = self.found()
        return self._table

    def found(self) -> dict[str, T]:
        """Return what :meth:`table` does, looked for anew."""
        found = {self._name_of(thing): thing for module in self.modules() for thing in self._things_in(module)}
        for where, thing in _installed(self.group):
            self._add(found, thing, where)
        for thing in self._registered.values():
            self._add(found, thing, "this process")
        return dict(sorted(found.items()))

    def modules(self) -> Iterator[ModuleType]:
        """Yield the modules of the folder."""
        folder = importlib.import_module(self.package)
        for info in pkgutil.iter_modules(folder.__path__):
            yield importlib.import_module(f"{self.package}.{info.name}")

    def get(self, name: Any) -> T:
        """Return the one of a name.

        Raises:
            InvalidInputError: There is none; the message names the nearest one.
        """
        if self._by_code is not None and name not in self.table() and is_name(name):
            if name not in self._coded:
                self._coded[name] = self._by_code(name)
            return self._coded[name]
        return find(self.table(), name, self.kind)

    def register(self, thing: T) -> None:
        """Add one in this process; one that was registered under its name before is replaced.

        Raises:
            InvalidInputError: It is no such thing, or a file or an installed package has one of its name.
        """
        others = {k: v for k, v in self.table().items() if k not in self._registered}
        self._add(others, thing, "this process")
        self._registered[self._name_of(thing)] = thing
        self._table = None

    def unregister(self, name: str) -> None:
        """Forget what was registered, or found in a module, in this process by a name; nothing if nothing was."""
        self._registered.pop(name, None)
        self._coded.pop(name, None)
        self._table = None

    def _add(self, table: dict[str, T], thing: Any, where: str) -> None:
        if not self.accepts(thing):
            raise InvalidInputError(f"{where} must name {self.expected}; given {shown(thing)}")
        name = self._name_of(thing)
        if name in table:
            raise InvalidInputError(f"{where} adds the {self.kind} {name!r}, which exists already; rename it")
        table[name] = thing


def registry_of(kind: str, cls: type[T], *, package: str, group: str, attribute: str) -> Registry[T]:
    """Return the registry of records of one class, of which a module of the folder has one under a fixed name.

    Args:
        kind: What they are called in messages.
        cls: Their class, which has a ``name``.
        package: The package whose modules are looked into.
        group: Last part of the name of the entry points' group.
        attribute: What a module calls its record.
    """

    def things_in(module: ModuleType) -> list[T]:
        return [found] if isinstance(found := getattr(module, attribute, None), cls) else []

    return Registry(
        kind,
        package=package,
        group=group,
        expected=f"a {cls.__name__}",
        things_in=things_in,
        accepts=lambda value: isinstance(value, cls),
        name_of=lambda thing: str(getattr(thing, "name")),  # noqa: B009 - T has no bound, as families are classes
    )


def _installed(group: str) -> Iterator[tuple[str, Any]]:
    for point in entry_points(group=group):
        where = f"the entry point {point.name!r} = {point.value!r} of {group}"
        try:
            value = point.load()
        except Exception as error:  # whatever the foreign module raises when it is imported
            raise InvalidInputError(f"{where} cannot be loaded ({error}); repair or uninstall its package") from error
        yield where, value
