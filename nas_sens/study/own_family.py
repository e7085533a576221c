"""``ns.family``: a function of the user becomes an architecture family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from ..architectures import FAMILIES, ArchitectureSpec, family_of

Builder = TypeVar("Builder", bound=Callable[..., Any])


@overload
def family(function: Builder) -> Builder: ...


@overload
def family(
    *,
    structure: Callable[[Mapping[str, Any]], dict[str, float]] | None = None,
    size: Callable[[ArchitectureSpec, tuple[int, ...], int], tuple[int, int]] | None = None,
    canonical: Callable[[ArchitectureSpec], ArchitectureSpec] | None = None,
) -> Callable[[Builder], Builder]: ...


def family(function: Any = None, *, structure: Any = None, size: Any = None, canonical: Any = None) -> Any:
    """Make a function an architecture family; a decorator, with or without arguments.

        @ns.family
        def conv1d(input_shape, n_outputs, *, depth: int, width: int, kernel: int = 5) -> nn.Module: ...

    Its keywords are what a search space declares: ``[search_space."my_nas:conv1d"]`` in TOML, or
    ``ns.SearchSpace(families={conv1d: {"depth": ns.Int(1, 8)}})``. A function needs the decorator only to be known by
    its name in a notebook, or for the arguments below. It must build the same layers whenever it is called with the
    same arguments, and may be called on the meta device. What it draws is its own initialisation, from which training
    starts unless ``init`` is declared; scores are taken with ``[score] probe_init``, whose scheme draws linear,
    convolution and normalisation layers, while layers of other kinds are drawn as the function draws them.

    Args:
        function: Takes the shape of one input and the number of outputs, and keywords; returns a network.
        structure: Returns numbers that say how a network is built, from the values of the keywords; rules learn from
            them.
        size: Returns parameters and FLOPs from a spec, input shape and number of outputs, where that is cheaper than
            counting.
        canonical: Returns the spec that stands for all whose untrained networks are the same.

    Returns:
        The function itself, or a decorator.

    Raises:
        InvalidInputError: The function takes other arguments.
    """
    given = {"structure": structure, "size": size, "canonical": canonical}
    methods = {name: method for name, method in given.items() if method is not None}

    def register(decorated: Any) -> Any:
        FAMILIES.register(family_of(decorated, **methods))
        return decorated

    return register if function is None else register(function)
