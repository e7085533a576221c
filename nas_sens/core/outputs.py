"""What of a network's output is looked at: one tensor (n, …) out of a dict, a tuple or an object of any class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

import torch

from .errors import InvalidInputError
from .user_code import error_text, is_name, user_object

Output = str | int | Callable[[Any], Any]
_LOGITS = "logits"


def output_of(named: str | int | None) -> Output | None:
    """Return what :func:`picked` takes from what can be written down: ``module:function`` is that function.

    Raises:
        InvalidInputError: There is no such function.
    """
    if isinstance(named, str) and is_name(named):
        found = user_object(named, "a function of what a network gives")
        if not callable(found):
            raise InvalidInputError(f"output = {named!r} must name a function; it is {type(found).__name__}")
        return cast("Output", found)
    return named


def picked(given: Any, n: int, output: Output | None = None) -> torch.Tensor:
    """Return the outputs of a network as one tensor (n, K, …); (n,) becomes (n, 1).

    Args:
        given: What it returns for n inputs.
        n: Number of inputs.
        output: A key or an attribute of it, an index, or a function of it that returns a tensor. None takes a tensor as
            it is, ``logits`` of a dict or of an object that has some, and the only tensor of a container.

    Raises:
        InvalidInputError: There is no such output, it is not plain which is meant, or it is no tensor (n, …) of
            floating-point numbers.
    """
    tensor = _default(given) if output is None else _chosen(given, output)
    how = "the network must give" if output is None else f"output = {_name(output)!r} must give"
    if not isinstance(tensor, torch.Tensor):
        raise InvalidInputError(f"{how} a tensor (n, …); it gives a {type(tensor).__name__}; {_advice(given)}")
    if tensor.ndim == 0 or len(tensor) != n:
        raise InvalidInputError(
            f"{how} one row for each input, (n, …); it gives the shape {tuple(tensor.shape)} for {n} inputs; "
            f"{_advice(given)}"
        )
    if not tensor.is_floating_point():
        raise InvalidInputError(f"{how} floating-point numbers; it gives {tensor.dtype}; {_advice(given)}")
    if tensor.numel() == 0:
        raise InvalidInputError(f"{how} numbers; it gives the shape {tuple(tensor.shape)}, which has none")
    return tensor.unsqueeze(1) if tensor.ndim == 1 else tensor


def _default(given: Any) -> Any:
    """Return the output that is meant where none was named.

    Raises:
        InvalidInputError: That is not plain.
    """
    if isinstance(given, torch.Tensor):
        return given
    there = _items(given)
    if isinstance(there.get(_LOGITS), torch.Tensor):
        return there[_LOGITS]
    # Scalars beside it, such as a loss, are no outputs of single inputs.
    tensors = [v for v in there.values() if not (isinstance(v, torch.Tensor) and v.ndim == 0) and v is not None]
    if len(tensors) == 1 and isinstance(tensors[0], torch.Tensor):
        return tensors[0]
    raise InvalidInputError(f"the network must give one tensor (n, …); it gives {_told(given)}; {_advice(given)}")


def _chosen(given: Any, output: Output) -> Any:
    """Return the output that was named.

    Raises:
        InvalidInputError: There is none of this name, or the function fails.
    """
    if callable(output):
        try:
            return output(given)
        except Exception as error:  # whatever foreign code raises
            raise InvalidInputError(
                f"output = {_name(output)} fails on what the network gives, {_told(given)}: {error_text(error)}"
            ) from error
    try:
        if isinstance(given, Mapping) or (isinstance(output, int) and not isinstance(given, torch.Tensor)):
            return given[output]
        if isinstance(output, str) and not isinstance(given, torch.Tensor):
            return getattr(given, output)
    except (LookupError, AttributeError, TypeError):
        pass
    raise InvalidInputError(f"the network gives no output {output!r}, but {_told(given)}; {_advice(given)}")


def _items(given: Any) -> dict[str | int, Any]:
    """Return what is in a container by the key, attribute or index that names it."""
    if isinstance(given, Mapping):
        return dict(given)
    if is_dataclass(given) and not isinstance(given, type):
        return {f.name: getattr(given, f.name) for f in fields(given)}
    if hasattr(given, "_fields"):
        return dict(given._asdict())
    if isinstance(given, (tuple, list)):
        return dict(enumerate(given))
    return {}


def _told(given: Any) -> str:
    """Return what a network gives in words, such as ``a dict of 'out' (2, 21, 8, 8) and 'aux' (2, 21, 8, 8)``."""
    if isinstance(given, torch.Tensor):
        return f"one tensor of shape {tuple(given.shape)}"
    there = [(k, v) for k, v in _items(given).items() if v is not None]
    shown = [f"{k!r} {tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__}" for k, v in there[:6]]
    more = f" and {len(there) - 6} more" if len(there) > 6 else ""
    return f"a {type(given).__name__}" + (f" of {', '.join(shown)}{more}" if shown else "")


def _advice(given: Any) -> str:
    there = _items(given)
    key = next((k for k, v in there.items() if isinstance(v, torch.Tensor) and v.ndim), None)
    example = f"output = {_quoted(key)}" if key is not None else "output = a function of it that returns a tensor"
    return f"say which numbers are meant, as by {example}" if key is not None else f"give {example}"


def _quoted(key: Any) -> str:
    return f'"{key}"' if isinstance(key, str) else str(key)


def _name(output: Output) -> str | int:
    return str(getattr(output, "__name__", type(output).__name__)) if callable(output) else output
