"""The network as ONNX, checked by ONNX's own checker and by what ONNX Runtime computes at two batch sizes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from ..core.errors import InvalidInputError, StorageError, first_line
from ..core.inputs import Inputs, InputShape, called_with, example_of, mapped, parts_of
from .plain_outputs import plain, plain_outputs
from .preprocessing import FromPixels
from .program import example_pixels, inner, traced_with, traced_with_pixels

ONNX = "model.onnx"
PIXELS_ONNX = "model_from_pixels.onnx"
_BATCHES = (3, 1)


def write_onnx(folder: Path, model: nn.Module, input_shape: InputShape, metadata: Mapping[str, Any]) -> None:
    """Write ``model.onnx`` with any batch size, and check with onnxruntime that it computes the same.

    Inputs are called ``input``, or ``input_0`` and so on, or by their keywords; so are several outputs.

    Args:
        folder: Where it is written.
        model: The network.
        input_shape: Shape of one input.
        metadata: What the file says of itself: name to a value, which becomes JSON.

    Raises:
        InvalidInputError: The packages of the extra ``onnx`` are not installed.
        StorageError: The network cannot be exported, or onnxruntime computes something else.
    """
    require_onnx()
    examples = [_drawn(input_shape, n) for n in _BATCHES]
    _write(folder / ONNX, model, inner(model), traced_with(examples[0]), examples, metadata)


def write_pixels_onnx(folder: Path, model: FromPixels, metadata: Mapping[str, Any]) -> None:
    """Write ``model_from_pixels.onnx``, which takes uint8 (n, height, width, channels), and check it.

    Args:
        folder: Where it is written.
        model: The network with its preprocessing.
        metadata: See :func:`write_onnx`.

    Raises:
        InvalidInputError: See :func:`write_onnx`.
        StorageError: See :func:`write_onnx`.
    """
    require_onnx()
    _write(folder / PIXELS_ONNX, model, model, traced_with_pixels(model), example_pixels(model), metadata)


def require_onnx() -> None:
    """Check that what writes and runs ONNX is installed.

    Raises:
        InvalidInputError: It is not.
    """
    if missing := [p for p in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(p) is None]:
        raise InvalidInputError(f"ONNX needs {', '.join(missing)}; install them by: pip install 'nas-sens[onnx]'")


def input_names(example: Inputs) -> list[str]:
    """Return what the inputs of an ONNX program are called."""
    if isinstance(example, Mapping):
        return list(example)
    return ["input"] if isinstance(example, torch.Tensor) else [f"input_{i}" for i in range(len(example))]


def _drawn(input_shape: InputShape, n: int) -> Any:
    generator = torch.Generator().manual_seed(0)

    def drawn(zeros: torch.Tensor) -> torch.Tensor:
        return torch.rand(zeros.shape, generator=generator) if zeros.is_floating_point() else zeros

    return mapped(drawn, example_of(input_shape, n))


def _write(
    path: Path,
    model: nn.Module,
    traced_one: nn.Module,
    traced: Mapping[str, Any],
    examples: Sequence[Any],
    metadata: Mapping[str, Any],
) -> None:
    with torch.no_grad():
        expected = [plain(called_with(model.eval(), example)) for example in examples]
    try:
        with plain_outputs(traced_one) as made_plain:
            torch.onnx.export(
                made_plain,
                f=str(path),
                **traced,
                dynamo=True,
                external_data=False,
                input_names=input_names(examples[0]),
                output_names=["output"] if isinstance(expected[0], torch.Tensor) else None,
                verbose=False,
            )
    except Exception as error:  # as torch.export
        raise StorageError(f"this network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    _describe(path, metadata)
    for example, outputs in zip(examples, expected, strict=True):
        _check(path, example, outputs)


def _describe(path: Path, metadata: Mapping[str, Any]) -> None:
    """Write into the file what it says of itself, and have ONNX check all of it.

    Raises:
        StorageError: It is no valid ONNX.
    """
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.save(model, path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StorageError(f"the network exported to ONNX is no valid ONNX: {first_line(error)}") from error


def _check(path: Path, example: Any, expected: Any) -> None:
    """Check what onnxruntime computes.

    Raises:
        StorageError: It is something else.
    """
    import onnxruntime

    fed = {name: part.numpy() for name, part in zip(input_names(example), parts_of(example), strict=True)}
    given = onnxruntime.InferenceSession(str(path)).run(None, fed)
    wanted = [leaf for leaf in tree_leaves(expected) if isinstance(leaf, torch.Tensor)]
    if len(given) != len(wanted) or not all(map(_is_close, given, wanted)):
        raise StorageError(f"the network exported to ONNX computes something else in onnxruntime ({path.name}); use "
                           "the .pt2 beside it, without ONNX")  # fmt: skip


def _is_close(given: Any, expected: torch.Tensor) -> bool:
    return torch.allclose(torch.from_numpy(given), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
