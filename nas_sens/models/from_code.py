"""A network from a user's own code: a module and something in it, each of whose failures is told in one line."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import nn

from ..architectures import families
from ..core.errors import InvalidInputError
from ..metrics._trial import what


def network_from_code(module: str, name: str, given: dict[str, Any]) -> nn.Module:
    """Return the network that ``module:name`` stands for.

    Args:
        module: A module that can be imported; the working directory is looked into first, as by ``python -m``.
        name: A network in it, or a function or class that gives one.
        given: Arguments for a function that has parameters of these names.

    Raises:
        InvalidInputError: There is no such module or name, the code fails, it needs other arguments, or what it gives
            is no network.
    """
    with _working_directory_first():
        code = _imported(module, name)
        try:
            found = getattr(code, name)
        except AttributeError as error:
            raise InvalidInputError(
                f"{module}:{name} must name a network or a function in that module; {_file(code)} has no {name!r}, but "
                f"{_some(code) or 'nothing of its own'}"
            ) from error
        if not isinstance(found, nn.Module) and callable(found):
            found = _called(found, f"{module}:{name}", given)
    if not isinstance(found, nn.Module):
        raise InvalidInputError(
            f"{module}:{name} must be a torch.nn.Module or a function that returns one; it gave {type(found).__name__}"
        )
    return found


def _imported(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(module, error) from error  # a module of its own that is missing
        raise InvalidInputError(
            f"{module}:{name} must name a family ({', '.join(families())}) or something that can be imported; No "
            f"module named {error.name!r} in the working directory {os.getcwd()} or among what is installed; run the "
            f"command in the folder of {module.partition('.')[0]}.py, or set PYTHONPATH to it"
        ) from error
    except (Exception, SystemExit) as error:  # whatever foreign code raises
        raise _failed(module, error) from error


def _failed(module: str, error: BaseException) -> InvalidInputError:
    return InvalidInputError(f"the module {module} cannot be imported: {what(error)}; repair it")


def _called(function: Any, text: str, given: dict[str, Any]) -> Any:
    try:
        takes = list(inspect.signature(function).parameters.values())
    except ValueError:  # of some that are not written in Python
        takes = []
    kinds = {p.name: p.kind for p in takes}
    missing = [
        p.name
        for p in takes
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given
    ]
    if missing or inspect.Parameter.POSITIONAL_ONLY in kinds.values():
        raise InvalidInputError(
            f"{text} must need no arguments other than {' and '.join(given)}, by name; it needs "
            f"{', '.join(missing) or 'them by position'}; write a function without arguments that calls it"
        )
    try:
        return function(**{key: value for key, value in given.items() if key in kinds})
    except (Exception, SystemExit) as error:  # whatever foreign code raises
        raise InvalidInputError(f"{text} fails: {what(error)}") from error


def _file(code: ModuleType) -> str:
    return str(getattr(code, "__file__", None) or code.__name__)


def _some(code: ModuleType) -> str:
    """Return the first names in a module that may stand for networks."""
    own = [n for n, v in vars(code).items() if not n.startswith("_") and getattr(v, "__module__", "") == code.__name__]
    return ", ".join(own[:10])


@contextmanager
def _working_directory_first() -> Iterator[None]:
    folder = os.getcwd()
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
