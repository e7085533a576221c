"""The network as a program of PyTorch's own, which loads where nas_sens is not installed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..architectures.built_network import BuiltNetworkOfMany
from ..core.errors import StorageError
from ..core.inputs import Inputs, InputShape, example_of, parts_of
from .plain_outputs import plain_outputs
from .preprocessing import FromPixels

PROGRAM = "model.pt2"
PIXELS_PROGRAM = "model_from_pixels.pt2"


def write_program(folder: Path, model: nn.Module, input_shape: InputShape) -> None:
    """Write ``model.pt2`` by torch.export, with any batch size: it loads where nas_sens is not installed.

    Raises:
        StorageError: torch.export cannot trace the network.
    """
    _save(folder / PROGRAM, inner(model), traced_with(example_of(input_shape, 2)))


def write_pixels_program(folder: Path, model: FromPixels) -> None:
    """Write ``model_from_pixels.pt2``, and check that it computes what the module does, at two sizes.

    Raises:
        StorageError: torch.export cannot trace it, or the program computes something else.
    """
    _save(folder / PIXELS_PROGRAM, model, traced_with_pixels(model))
    program = torch.export.load(folder / PIXELS_PROGRAM).module()
    for pixels in example_pixels(model):
        with torch.no_grad():
            is_same = torch.allclose(program(pixels), model(pixels), rtol=1e-3, atol=1e-4)
        if not is_same:
            raise StorageError("the network exported with its preprocessing computes something else; leave that out")


def _save(path: Path, model: nn.Module, traced: Mapping[str, Any]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of recurrent layers, whose weights are attributes, too
            with plain_outputs(model.eval()) as made_plain:
                program = torch.export.export(made_plain, **traced)
        torch.export.save(program, path)
    except Exception as error:  # torch.export raises errors of many kinds for what it cannot trace
        raise StorageError(f"torch.export cannot export this network: {str(error).splitlines()[0]}") from error


def traced_with(example: Inputs) -> dict[str, Any]:
    """Return what an export takes of example inputs, of any batch size."""
    batch = torch.export.Dim("batch", min=1)
    if isinstance(example, Mapping):
        return {"args": (), "kwargs": dict(example), "dynamic_shapes": {name: {0: batch} for name in example}}
    parts = tuple(parts_of(example))
    return {"args": parts, "dynamic_shapes": tuple({0: batch} for _ in parts)}


def traced_with_pixels(model: FromPixels) -> dict[str, Any]:
    """Return what an export takes for pictures of any height and width, any number of them."""
    sides = {i: torch.export.Dim(name, min=1) for i, name in enumerate(("batch", "height", "width"))}
    return {"args": (example_pixels(model)[1],), "dynamic_shapes": (sides,)}


def example_pixels(model: FromPixels) -> list[torch.Tensor]:
    """Return pictures of noise: one of the size of inputs, and three that are larger one way and smaller the other."""
    generator, (height, width) = torch.Generator().manual_seed(0), model.size
    sizes = ((1, height, width), (3, 2 * height + 3, width // 2 + 2))
    return [torch.randint(256, (*s, len(model.mean)), generator=generator, dtype=torch.uint8) for s in sizes]


def inner(model: nn.Module) -> nn.Module:
    """Return the network whose arguments have names, where a wrapper hands on whatever it is given."""
    return model.net if isinstance(model, BuiltNetworkOfMany) else model
