"""Code of the user, by name: ``module:name``, beside a study's file, in the working directory, or installed."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InvalidInputError, first_line
from .text import printable

_LONGEST = 300  # characters of what foreign code says
_named: dict[str, Any] = {}  # what was defined in this process, such as the cell of a notebook
FOLDERS = "NAS_SENS_CODE"  # the environment variable by which processes hand these folders on, as PATH is written


def look_beside(folder: str | Path) -> None:
    """Let modules in a folder be found in this process, and in those that it starts, from now on."""
    found = os.path.abspath(folder)
    if found not in folders():
        os.environ[FOLDERS] = os.pathsep.join([found, *folders()])


def folders() -> list[str]:
    """Return the folders of which :func:`look_beside` was told."""
    return [f for f in os.environ.get(FOLDERS, "").split(os.pathsep) if f]


def named(given: Any) -> Any:
    """Return the name ``module:name`` of a function, by which this process finds it from now on; or what else it is.

    Raises:
        ValueError: It can be called, but has no name.
    """
    if not callable(given):
        return given
    if not hasattr(given, "__qualname__"):
        raise ValueError("must be a function with a name")
    name = f"{given.__module__}:{given.__qualname__}"
    _named[name] = given
    return name


def is_name(text: object) -> bool:
    """Return whether a text is written ``package.module:name``, or names what this process was given."""
    if isinstance(text, str) and text in _named:
        return True
    module, _, name = str(text).partition(":")
    return all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def user_object(text: str, expected: str) -> Any:
    """Return what ``module:name`` stands for.

    Args:
        text: Of a module that can be imported, and something in it.
        expected: What it must be, in words, for messages.

    Raises:
        InvalidInputError: There is no such module or name, or the module cannot be imported.
    """
    if text in _named:
        return _named[text]
    module, _, name = text.partition(":")
    found: Any = user_module(module, f"{text} must name {expected}")
    file = str(getattr(found, "__file__", None) or module)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        own = _names_in(sys.modules[module])
        if module == "__main__":
            raise InvalidInputError(
                f"{text} was defined in a script or notebook, and is known in that process alone; call nas_sens there, "
                "or put it into a module"
            ) from error
        raise InvalidInputError(
            f"{text} must name {expected} in that module; {file} has no {name!r}, but {own or 'nothing of its own'}"
        ) from error
    return found


def user_module(module: str, needed: str) -> ModuleType:
    """Return a module; folders that were told of and the working directory are looked into first.

    Args:
        module: Its name.
        needed: What it is needed for, with which the message begins.

    Raises:
        InvalidInputError: There is none, or it fails while it is imported.
    """  # noqa: DOC501 - `_failed` makes the error
    try:
        with _own_folders_first():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(module, error) from error  # a module of its own that is missing
        where = " or ".join(dict.fromkeys([*map(repr, folders()), f"the working directory {os.getcwd()!r}"]))
        raise InvalidInputError(
            f"{needed}, but there is no module {error.name!r} in {where}, or among what is installed; put "
            f"{module.partition('.')[0]}.py there, or set PYTHONPATH to its folder"
        ) from error
    except (Exception, SystemExit) as error:  # whatever foreign code raises
        raise _failed(module, error) from error


def _failed(module: str, error: BaseException) -> InvalidInputError:
    return InvalidInputError(f"the module {module} cannot be imported: {error_text(error)}; repair it")


def called(function: Callable[..., Any], name: str, **arguments: Any) -> Any:
    """Return what a function of the user returns.

    Args:
        function: The function.
        name: ``module:name``, for the message.
        arguments: What it is given.

    Raises:
        InvalidInputError: It fails.
    """
    try:
        return function(**arguments)
    except InvalidInputError:
        raise
    except (Exception, SystemExit) as error:  # whatever foreign code raises
        raise InvalidInputError(f"{name} fails: {error_text(error)}") from error


def error_text(error: BaseException) -> str:
    """Return the kind of a foreign exception and the first line of what it says, without control characters."""
    text, name = printable(first_line(error)), type(error).__name__
    return (name if text == name else f"{name}: {text}")[:_LONGEST]


def code_digest(name: str) -> str:
    """Return a digest of the file that ``module:function`` is in, or of its source where there is no file.

    It is that of what runs in this process, whatever becomes of the file meanwhile.
    """
    found = user_object(name, "a function")
    return _file_digest(found) if isinstance(found, Hashable) else source_digest(found)


@cache
def _file_digest(found: Any) -> str:
    file = inspect.getsourcefile(found) if inspect.isroutine(found) or inspect.isclass(found) else None
    if file is None or found.__module__ == "__main__" or not Path(file).is_file():
        return source_digest(found)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]


def source_digest(function: Callable[..., Any]) -> str:
    """Return a digest of a function's source, or of its code where there is no source; "" if there is neither."""
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = "" if code is None else repr((code.co_code, code.co_consts, code.co_names))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def _names_in(code: ModuleType) -> str:
    """Return the first names in a module that are its own."""
    own = [n for n, v in vars(code).items() if not n.startswith("_") and getattr(v, "__module__", "") == code.__name__]
    return ", ".join(own[:10])


@contextmanager
def _own_folders_first() -> Iterator[None]:
    """Let the user's folders be looked into first inside the ``with`` block, and last afterwards.

    Last, as code may import its neighbours when it runs, and a file of the user's that is called like a module of a
    library must not take its place.
    """
    own = [*folders(), os.getcwd()]
    sys.path[:0] = own
    importlib.invalidate_caches()
    try:
        yield
    finally:
        del sys.path[: len(own)]
        sys.path += [folder for folder in own if folder not in sys.path]
