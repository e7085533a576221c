"""Specs of every family, also of one that is new: one example, and random ones."""

from __future__ import annotations

import dataclasses
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from pydantic import Field

from nas_sens.architectures import ArchitectureSpec
from nas_sens.architectures.base import LayeredSpec

SHAPE = (1, 8, 8)

# Where 2 for everything required does not do, or not on 8×8 pixels.
EXAMPLES = {
    "alexnet": {"width_factor": 0.02, "hidden_units": 4, "max_pool": False},
    "cell": {f"op_{i}_{j}": "nor_conv_3x3" for i in range(1, 4) for j in range(i)},
    "convnext": {"depths": (1, 1, 2, 1), "widths": (4, 4, 6, 8), "patch": 1, "drop_path": 0.1},
    "mbconv": {"depths": (1, 2), "widths": (8, 12), "head_width": 6, "stem_width": 8, "drop_path": 0.1},
    "resnet": {"stem": "deep", "block": "bottleneck", "drop_path": 0.1},
    "timm": {"model": "test_resnet"},
    "vit": {"embed_dim": 8, "drop_path": 0.1},
    "vgg": {"configuration": 11, "width_factor": 0.02, "hidden_units": 4, "max_pools": 2},
}
# Where values of the type alone would make large networks.
SMALL = {
    "width_factor": st.sampled_from([0.01, 0.02, 0.04]),
    "taper": st.sampled_from([0.4, 1.0, 1.5]),
    "cells_per_stage": st.integers(1, 2),
    "depths": st.tuples(*[st.integers(1, 2)] * 4),
    "widths": st.tuples(*[st.integers(2, 9)] * 4),
    "kernels": st.sampled_from([3, 5, (3, 5, 3, 7)]),
    "expansions": st.sampled_from([1.0, 2.0, (1.0, 2.0, 1.5, 3.0)]),
    "strides": st.sampled_from([1, 2, (1, 2, 1, 2)]),
    "embed_dim": st.sampled_from([4, 6]),
    "drop_path": st.sampled_from([0.0, 0.5]),
}


def example(family: type[ArchitectureSpec]) -> ArchitectureSpec:
    """Return a small spec with everything on that it has; so that a new family is tested as it comes."""
    required = {f.name: 2 for f in dataclasses.fields(family) if f.default is dataclasses.MISSING}
    layered = {"batch_norm": True, "dropout": 0.5} if issubclass(family, LayeredSpec) else {}
    return family(**{**required, **layered, **EXAMPLES.get(family.family, {})})


def random_specs(family: type[ArchitectureSpec]) -> st.SearchStrategy[ArchitectureSpec]:
    """Return a strategy for small specs, from the types of the family's fields.

    A field of another type than a number, a truth value or a literal stays as in the example.
    """
    base = dataclasses.asdict(example(family))
    hints = get_type_hints(family, include_extras=True)
    drawn = {}
    for f in dataclasses.fields(family):
        values = SMALL.get(f.name, _values_of(hints[f.name]))
        drawn[f.name] = st.just(base[f.name]) if values is None else values
    if "activation" not in drawn:  # which asks for the scheme
        drawn["init"] = drawn["init"].filter(lambda scheme: scheme != "by_activation")
    return st.fixed_dictionaries(drawn).map(lambda values: family(**of_one_length(values)))


def of_one_length(values: dict[str, Any]) -> dict[str, Any]:
    """Return values in which the number of layers or stages is the length of the list that there is for them."""
    for count, listed in (("depth", "width"), ("depth", "channels"), ("stages", "blocks")):
        if count in values and isinstance(values.get(listed), tuple):
            values = {**values, count: len(values[listed]), **({"taper": 1.0} if "taper" in values else {})}
    return values


def _values_of(hint: Any) -> st.SearchStrategy[Any] | None:
    bounds: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        for note in notes:
            for each in getattr(note, "metadata", ()):  # a pydantic Field has ge=1 as a Ge(1)
                bounds |= {k: v for k in ("gt", "ge", "lt", "le") if (v := getattr(each, k, None)) is not None}
    if get_origin(hint) in (Union, UnionType):
        members = [v for v in map(_values_of, get_args(hint)) if v is not None]
        return st.one_of(members) if members else None
    if get_origin(hint) is tuple:
        each = _values_of(Annotated[get_args(hint)[0], Field(ge=1)])
        return None if each is None else st.lists(each, min_size=1, max_size=3).map(tuple)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint is bool:
        return st.booleans()
    low = bounds.get("ge", bounds.get("gt", 0 if hint is float else 1))
    if hint is int:
        low += "gt" in bounds
        return st.integers(low, min(low + 3, bounds.get("le", bounds.get("lt", low + 4) - 1)))
    if hint is float:
        return st.sampled_from([v for v in (-0.0, 0.0, 0.25, 0.5, 1.0, 2.0) if _is_within(v, bounds)])
    return None


def _is_within(value: float, bounds: dict[str, Any]) -> bool:
    return (
        value >= bounds.get("ge", value)
        and value <= bounds.get("le", value)
        and value > bounds.get("gt", value - 1)
        and value < bounds.get("lt", value + 1)
    )
