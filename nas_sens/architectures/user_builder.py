"""A function of the user as an architecture family: its keywords are what can be declared.

    @ns.family
    def conv1d(input_shape, n_outputs, *, depth: int, width: int, kernel: int = 5) -> nn.Module: ...

The family is called ``module:conv1d``, by which other processes find the function. A network starts from the weights
that the function itself draws, unless ``init`` says otherwise.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, fields
from functools import partial
from typing import Annotated, Any, ClassVar, cast, get_args, get_origin, get_type_hints

import torch
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from torch import nn

from ..core.device import memory_guard
from ..core.errors import InfeasibleArchitectureError, InvalidInputError
from ..core.inputs import InputShape, Shape, called_with, example_of, shape_from
from ..core.user_code import error_text, source_digest, user_object
from .base import SPEC_CONFIG, ArchitectureSpec
from .built_network import BuiltNetwork, BuiltNetworkOfMany

GIVEN = ("input_shape", "n_outputs")  # by position or by these names
_MARK = "__nas_sens_family__"  # the family of a function, once it has one


@dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)
class BuiltSpec(ArchitectureSpec):
    """A network that a function of the user builds; every such function has a subclass with its keywords as fields.

    "torch_default" as ``init`` means what the function itself draws.
    """

    takes_any_input: ClassVar[bool] = True
    builder: ClassVar[Callable[..., nn.Module]]
    source: ClassVar[str]

    def layers(self, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
        """Return the function's network; PyTorch's global random state is left alone.

        Raises:
            InfeasibleArchitectureError: The function fails, or gives no network.
        """
        shape = shape_from(input_shape)
        kind = BuiltNetwork if isinstance(shape, Shape) else BuiltNetworkOfMany
        return kind(partial(self._made, shape, n_outputs))

    def _made(self, input_shape: InputShape, n_outputs: int) -> nn.Module:
        keywords = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _BASE}
        try:
            with memory_guard():
                model = type(self).builder(input_shape, n_outputs, **keywords)
        except InfeasibleArchitectureError:
            raise
        except Exception as error:  # whatever foreign code raises
            if isinstance(error, (RuntimeError, NotImplementedError)) and "meta" in str(error).lower():
                raise
            raise InfeasibleArchitectureError(f"{self.family} fails: {error_text(error)}") from error
        if not isinstance(model, nn.Module):
            raise InfeasibleArchitectureError(
                f"{self.family} must return a torch.nn.Module; it returned {type(model).__name__}"
            )
        if any(nn.parameter.is_lazy(p) for p in model.parameters()):
            with torch.no_grad():
                called_with(model, example_of(input_shape, 2))
        return model


_BASE = tuple(f.name for f in fields(BuiltSpec))
_SHADOWED = {"layers", "size", "structure"}  # methods that are called by way of the class: keywords may be called so
_TAKEN = (
    {name for name in dir(BuiltSpec) if not name.startswith("__")} | {*_BASE, "family", "builder", "source"}
) - _SHADOWED


def family_of(function: Callable[..., nn.Module], *, name: str | None = None, **methods: Any) -> type[BuiltSpec]:
    """Return the family of a function; the same one for the same function.

    Args:
        function: Takes ``input_shape`` and ``n_outputs``, and keywords with types that TOML knows.
        name: ``module:name``; None for where it was defined.
        methods: ``structure``, ``size`` and ``canonical``, as :class:`ArchitectureSpec` has them: functions of the
            values of the keywords (``structure``), or of the spec.

    Raises:
        InvalidInputError: It does not take these arguments.
    """
    known: Any = getattr(function, _MARK, None)
    if not methods and known is not None and name in (None, known.family):
        return cast("type[BuiltSpec]", known)
    family = name or f"{function.__module__}:{function.__qualname__}"
    namespace: dict[str, Any] = {
        "__doc__": inspect.getdoc(function) or "A function of the user.",
        "__module__": function.__module__,
        "__annotations__": {},
        "family": family,
        "builder": staticmethod(function),
        "source": source_digest(function),
        **_methods(methods),
    }
    for keyword in _keywords(function, family).values():
        namespace["__annotations__"][keyword.name] = keyword.annotation
        namespace[keyword.name] = field() if keyword.default is keyword.empty else field(default=keyword.default)
    made = type(f"{function.__name__}_spec", (BuiltSpec,), namespace)
    found: type[BuiltSpec] = cast(Any, dataclass(frozen=True, kw_only=True, config=SPEC_CONFIG)(made))
    for name_of_both in _SHADOWED & namespace["__annotations__"].keys():  # the class has the method, specs the value
        setattr(
            found, name_of_both, _methods(methods).get(name_of_both, inspect.getattr_static(BuiltSpec, name_of_both))
        )
    with suppress(AttributeError):  # of what is no plain function
        setattr(function, _MARK, found)
    return found


def imported_family(name: str) -> type[ArchitectureSpec]:
    """Return the family of ``module:name``.

    Raises:
        InvalidInputError: There is no such module or function, or it takes other arguments.
    """
    found = user_object(name, "a function of (input_shape, n_outputs, *, …) that returns a torch.nn.Module")
    if isinstance(found, type) and issubclass(found, ArchitectureSpec) and hasattr(found, "family"):
        return found
    if not callable(found):
        raise InvalidInputError(
            f"{name} must be a function that returns a torch.nn.Module; it is {type(found).__name__}"
        )
    return family_of(found, name=name)


def _keywords(function: Callable[..., Any], family: str) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be declared, with types.

    Raises:
        InvalidInputError: The function cannot be called with an input shape, a number of outputs and keywords.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = get_type_hints(function, include_extras=True)
    except (ValueError, TypeError, NameError) as error:
        raise InvalidInputError(f"the parameters of {family} cannot be told: {error_text(error)}") from error
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(named) < 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise InvalidInputError(
            f"{family} must take (input_shape, n_outputs, *, …), the shape of one input and the number of outputs "
            f"first; it takes {inspect.signature(function)}"
        )
    declared = [*named[2:], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
    if taken := [p.name for p in declared if p.name in _TAKEN]:
        raise InvalidInputError(f"{family} must name the keyword {taken[0]!r} otherwise; every family has that one")
    return {p.name: p.replace(annotation=_type(p, hints, family)) for p in declared}


def _type(parameter: inspect.Parameter, hints: Mapping[str, Any], family: str) -> Any:
    """Return what a keyword must be: its annotation, else the type of its default, else any value of TOML.

    Raises:
        InvalidInputError: Its annotation is none that values can be checked against.
    """
    plain = bool | int | float | str
    default = parameter.default
    of_default = type(default) if isinstance(default, (bool, int, float, str)) else plain
    kind = hints.get(parameter.name, of_default)
    try:
        TypeAdapter(kind)
    except Exception as error:  # whatever pydantic raises on a type that it does not know
        raise InvalidInputError(
            f"the keyword {parameter.name!r} of {family} must have a type that TOML knows, such as int, float, str or "
            f"Literal; given {kind}"
        ) from error
    return _as_tuple(kind)


def _as_tuple(kind: Any) -> Any:
    """Return the type of a list as that of a tuple, which can be hashed, and which a list of TOML is taken for."""
    if get_origin(kind) not in (list, tuple, Sequence):
        return kind
    parts = [part for part in get_args(kind) if part is not ...]
    return Annotated[tuple[parts[0], ...], Field(strict=False)] if len(parts) == 1 else kind  # type: ignore[valid-type]


def _methods(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return methods of a family from functions of the user.

    Raises:
        InvalidInputError: One has another name.
    """
    wrap: dict[str, Callable[[Any], Any]] = {
        "structure": lambda f: classmethod(lambda cls, values: f(values)),
        "size": lambda f: lambda self, input_shape, n_outputs: f(self, input_shape, n_outputs),
        "canonical": lambda f: property(f),
    }
    if unknown := sorted(given.keys() - wrap.keys()):
        raise InvalidInputError(f"a family takes {', '.join(wrap)}; given {unknown[0]!r}")
    return {name: wrap[name](function) for name, function in given.items() if function is not None}
