"""The networks that a text can name: a family with parameters, a timm model, an export, or code that is installed."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..architectures import families, load_spec
from ..core.device import resolve_device
from ..core.errors import InfeasibleArchitectureError, InvalidInputError, first_line
from ..core.inputs import InputShape, called_with, example_of, shape_from, shape_text
from ..core.module_mode import evaluation_mode
from ..core.outputs import picked
from ..core.random_state import global_stream
from ..metrics._trial import output_problem
from .from_code import network_from_code
from .model_folder import read_model


def resolve_model(
    text: str,
    *,
    input_shape: InputShape,
    n_outputs: int,
    generator: torch.Generator | None = None,
    must_run: bool = True,
) -> nn.Module:
    """Return the network that a text names, after a trial on one input.

    Args:
        text: One of: an architecture family with parameters, ``fc:depth=4,width=300`` or, with a list,
            ``fc:width=500-300-100``; a model of timm, ``timm:resnet18``; JSON text of an architecture; a folder that
            nas_sens exported (trained, in evaluation mode); ``package.module:name``, where the name stands for a module
            or for a function that returns one, which is given ``input_shape`` and ``n_outputs`` if it has parameters of
            these names. Modules in the working directory are found first, as by ``python -m``.
        input_shape: Shape of one input.
        n_outputs: Number of outputs.
        generator: Source of the initial weights, on the CPU; torch's global generator if None.
        must_run: Whether code of one's own that fails on the trial, or gives no tensor, is refused; otherwise only a
            tensor of another shape is.

    Raises:
        InvalidInputError: The text names no network, or one that does not take these inputs or give these outputs.
    """
    input_shape = shape_from(input_shape)
    is_code = False
    head, _, tail = text.partition(":")
    try:
        if text.lstrip().startswith("{"):
            model = load_spec(text).build(input_shape, n_outputs, generator=generator)
        elif head in families():
            model = load_spec(_parameters(head, tail)).build(input_shape, n_outputs, generator=generator)
        elif tail.isidentifier() and all(part.isidentifier() for part in head.split(".")):
            is_code = True
            with _drawing_from(generator):
                model = network_from_code(head, tail, {"input_shape": input_shape, "n_outputs": n_outputs})
        else:
            model = read_model(text)
    except InfeasibleArchitectureError as error:
        raise InvalidInputError(f"the network {text!r} cannot be built: {error}") from error
    with _drawing_from(generator) if is_code else nullcontext():  # by which lazy layers draw their weights
        _try(model, text, input_shape, n_outputs, must_run=must_run or not is_code)
    return model


def _parameters(family: str, text: str) -> dict[str, Any]:
    values: dict[str, Any] = {"family": family}
    for i, part in enumerate(text.split(",") if text else []):
        key, equals, value = (side.strip() for side in part.partition("="))
        if i == 0 and family == "timm" and not equals:
            key, equals, value = "model", "=", key
        if not (key and equals and value):
            raise InvalidInputError(
                f"parameters of {family} are written {family}:name=value,name=value; given {part!r} in {text!r}"
            )
        if key in values:
            raise InvalidInputError(f"each parameter of {family} is given once; {key!r} is there twice in {text!r}")
        values[key] = _value(value)
    return values


def _value(text: str) -> bool | int | float | str | list[int]:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"\d+(-\d+)+", text):  # a list, as candidates are described
        return [int(part) for part in text.split("-")]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _drawing_from(generator: torch.Generator | None) -> AbstractContextManager[None]:
    """Return a context in which foreign code draws from ``generator``, by way of the global state."""
    if generator is None:
        return nullcontext()
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return global_stream(seed, resolve_device("auto"))


def _try(model: nn.Module, text: str, input_shape: InputShape, n_outputs: int, *, must_run: bool) -> None:
    parameter = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    example = example_of(input_shape, 1, device=parameter.device, dtype=parameter.dtype)
    try:
        # Not in inference mode: what is made there, such as weights of lazy layers, can never be trained.
        with torch.no_grad(), evaluation_mode(model):
            output = called_with(model, example)
    except Exception as error:  # whatever a foreign module raises
        if must_run:
            raise InvalidInputError(
                f"the network {text!r} takes no inputs of shape {shape_text(input_shape)}: {first_line(error)}"
            ) from error
        return
    if problem := output_problem(output, 1):
        if must_run:
            raise InvalidInputError(f"the network {text!r}: {problem}")
        return
    shape = tuple(picked(output, 1).shape)
    if n_outputs not in shape[1:]:  # on any axis: of maps the first one, of sequences the last
        raise InvalidInputError(
            f"the network {text!r} must give {n_outputs} outputs for each input of shape {shape_text(input_shape)}; it "
            f"gives the shape {shape} for one"
        )
