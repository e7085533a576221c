"""Whether the pre-trained weights that a space asks for are there, and whether inputs are what they expect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from ..architectures import ArchitectureSpec
from ..core.errors import InfeasibleArchitectureError, InvalidInputError
from ..core.inputs import Inputs, InputShape
from .lists import corners
from .search_space import SearchSpace
from .together import TOGETHER, tables_of

_KINDS = ("model", "kwargs", "pretrained")  # what decides which file is read, and by what
_AT_MOST = 64  # networks whose weights are read beforehand
_MARGIN = 0.01


def check_pretrained(space: SearchSpace, input_shape: InputShape, n_outputs: int) -> None:
    """Check that files of pre-trained weights are there, and that some fit.

    Args:
        space: The space.
        input_shape: Shape of one input.
        n_outputs: Number of outputs.

    Raises:
        InvalidInputError: A file is missing, or none fits its network.
    """
    problems: list[str] = []
    n = 0
    for spec in itertools.islice(_pretrained(space), _AT_MOST):
        n += 1
        try:
            spec.require_weights(input_shape, n_outputs)
        except InfeasibleArchitectureError as error:
            problems.append(str(error))
        except InvalidInputError as error:
            raise InvalidInputError(f"search space {space.name!r}: {error}") from error
    if n and len(problems) == n:
        raise InvalidInputError(f"search space {space.name!r}: {problems[0]}; name other weights by pretrained")


def note_on_inputs(space: SearchSpace, x: Inputs, data: str) -> str | None:
    """Return what to say where inputs are not what pre-trained networks expect; None if they are, or there are none.

    Args:
        space: The space.
        x: Inputs (n, *input_shape) that candidates are scored with.
        data: Name of the data.
    """
    if next(_pretrained(space), None) is None or not isinstance(x, torch.Tensor):
        return None
    low, high = float(x.min()), float(x.max())
    if low >= -_MARGIN and high <= 1 + _MARGIN:
        return None
    return (
        f"pre-trained networks take pixels in [0, 1], which they normalise themselves, but inputs of data {data!r} "
        f"reach from {low:.3g} to {high:.3g}; set [data] standardize = false, or scale them"
    )


def _pretrained(space: SearchSpace) -> Iterator[ArchitectureSpec]:
    """Yield a candidate of every pre-trained network in a space."""
    for family, parameters in space.families.items():
        if "pretrained" not in {*parameters, *next(iter(tables_of(parameters)), {})}:
            continue
        sides = [corners(v) if k in _KINDS or k == TOGETHER else corners(v)[:1] for k, v in parameters.items()]
        for values in itertools.product(*sides):
            spec = space.spec_of(family, dict(zip(parameters, values, strict=True)))
            if spec.is_pretrained:
                yield spec
