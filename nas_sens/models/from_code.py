"""A network from a user's own code: a module and something in it, each of whose failures is told in one line."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from ..architectures import families
from ..core.errors import InvalidInputError
from ..core.user_code import called, user_object


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
    found = user_object(f"{module}:{name}", f"a family ({', '.join(families())}), a network or a function")
    if not isinstance(found, nn.Module) and callable(found):
        found = _called(found, f"{module}:{name}", given)
    if not isinstance(found, nn.Module):
        raise InvalidInputError(
            f"{module}:{name} must be a torch.nn.Module or a function that returns one; it gave {type(found).__name__}"
        )
    return found


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
    return called(function, text, **{key: value for key, value in given.items() if key in kinds})
