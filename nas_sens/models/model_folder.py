"""The chosen network, ready for use: timm's folder format, PyTorch's own export and, behind an extra, ONNX."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load, save
from torch import nn
from torch.utils._pytree import tree_leaves

from ..architectures import ArchitectureSpec, load_spec
from ..architectures.built_network import BuiltNetworkOfMany
from ..core.errors import InvalidInputError, StorageError, first_line
from ..core.inputs import Inputs, InputShape, called_with, example_of, is_plain, mapped, parts_of, shape_to_json
from .exported_config import arguments, check_weights, read_config
from .plain_outputs import plain, plain_outputs

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PROGRAM = "model.pt2"
ONNX = "model.onnx"
CARD = "README.md"
DIGEST = "weights_sha256"  # key of `CONFIG`: no program that reads weights checks their bytes


def model_config(
    architecture: ArchitectureSpec,
    *,
    input_shape: InputShape,
    n_outputs: int,
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what ``config.json`` holds: timm's keys, and under ``nas_sens`` where the network comes from.

    Args:
        architecture: The network's architecture.
        input_shape: Shape of one input.
        n_outputs: Number of outputs.
        mean: What is subtracted from raw inputs per channel or feature; empty for nothing.
        std: What they are divided by then; empty for nothing.
        provenance: Study, data, protocol and figures, JSON-like.
    """
    skeleton = architecture.skeleton(input_shape, n_outputs)
    n_channels = cast("tuple[int, ...]", input_shape)[0] if is_plain(input_shape) else 0
    layers = [n for n, m in skeleton.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    convolutions = [n for n, m in skeleton.named_modules() if isinstance(m, nn.Conv2d)]
    return {
        "architecture": "nas_sens",
        "num_classes": n_outputs,
        "model_args": {
            "architecture": architecture.to_dict(),
            "input_shape": shape_to_json(input_shape),
            "num_classes": n_outputs,
        },
        "pretrained_cfg": {
            "input_size": shape_to_json(input_shape),
            "num_classes": n_outputs,
            "mean": list(mean) or [0.0] * n_channels,
            "std": list(std) or [1.0] * n_channels,
            "crop_pct": 1.0,
            "first_conv": convolutions[0] if convolutions else None,
            "classifier": layers[-1] if layers else None,
        },
        "nas_sens": dict(provenance),
    }


def write_model(folder: Path, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an existing folder."""
    weights = save(dict(state))
    with_digest = {**config, DIGEST: hashlib.sha256(weights).hexdigest()}
    (folder / CONFIG).write_text(json.dumps(with_digest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / WEIGHTS).write_bytes(weights)  # `save_file` makes it readable by its owner only


def read_model(folder: str | Path, *, device: torch.device | str = "cpu", what: str | None = None) -> nn.Module:
    """Return the trained network of an exported folder, in evaluation mode.

    It expects inputs as training saw them: see ``mean`` and ``std`` under ``pretrained_cfg`` in ``config.json``.

    Args:
        folder: The folder.
        device: Where to put the network.
        what: What it is called in messages; None for its path.

    Raises:
        InvalidInputError: There is no such folder, or it is no export that is intact.
    """
    folder = Path(folder)
    what = what or f"the exported model in {str(folder)!r}"
    for filename in (CONFIG, WEIGHTS):
        if not (folder / filename).is_file():
            raise InvalidInputError(f"{str(folder)!r} is no exported model: it has no {filename}")
    try:
        return _read(folder, device)
    except Exception as error:  # families and libraries have their own for what a damaged file makes of their input
        raise InvalidInputError(
            f"{what} cannot be used: {first_line(error):.500}; export it again, or restore its files"
        ) from error


def _read(folder: Path, device: torch.device | str) -> nn.Module:
    config = read_config(folder / CONFIG)
    given = arguments(config)
    weights = (folder / WEIGHTS).read_bytes()
    if config.get(DIGEST, digest := hashlib.sha256(weights).hexdigest()) != digest:
        raise InvalidInputError(
            f"{WEIGHTS} was damaged or altered since it was written (who altered it removes {DIGEST} from {CONFIG})"
        )
    state = load(weights)
    model = load_spec(given.architecture).skeleton(given.shape, given.num_classes)
    check_weights(state, model.state_dict())  # before there is memory for what they say they are
    model = model.to_empty(device=device)
    model.load_state_dict(state)
    return model.eval()


def write_program(folder: Path, model: nn.Module, input_shape: InputShape) -> None:
    """Write ``model.pt2`` by torch.export, with any batch size: it loads where nas_sens is not installed.

    Raises:
        StorageError: torch.export cannot trace the network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of recurrent layers, whose weights are attributes, too
            with plain_outputs(_inner(model.eval())) as traced:
                program = torch.export.export(traced, **_traced_with(example_of(input_shape, 2)))
        torch.export.save(program, folder / PROGRAM)
    except Exception as error:  # torch.export raises errors of many kinds for what it cannot trace
        raise StorageError(f"torch.export cannot export this network: {str(error).splitlines()[0]}") from error


def _traced_with(example: Inputs) -> dict[str, Any]:
    """Return what an export takes of example inputs, of any batch size."""
    batch = torch.export.Dim("batch", min=1)
    if isinstance(example, Mapping):
        return {"args": (), "kwargs": dict(example), "dynamic_shapes": {name: {0: batch} for name in example}}
    parts = tuple(parts_of(example))
    return {"args": parts, "dynamic_shapes": tuple({0: batch} for _ in parts)}


def _inner(model: nn.Module) -> nn.Module:
    """Return the network whose arguments have names, where a wrapper hands on whatever it is given."""
    return model.net if isinstance(model, BuiltNetworkOfMany) else model


def _names(example: Inputs) -> list[str]:
    """Return what the inputs of an ONNX program are called."""
    if isinstance(example, Mapping):
        return list(example)
    return ["input"] if isinstance(example, torch.Tensor) else [f"input_{i}" for i in range(len(example))]


def write_onnx(folder: Path, model: nn.Module, input_shape: InputShape) -> None:
    """Write ``model.onnx`` with any batch size, and check with onnxruntime that it computes the same.

    Inputs are called ``input``, or ``input_0`` and so on, or by their keywords; so are several outputs.

    Raises:
        InvalidInputError: The packages of the extra ``onnx`` are not installed.
        StorageError: The network cannot be exported, or onnxruntime computes something else.
    """
    if missing := [p for p in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(p) is None]:
        raise InvalidInputError(f"ONNX needs {', '.join(missing)}; install them by: pip install 'nas-sens[onnx]'")
    import onnxruntime

    generator = torch.Generator().manual_seed(0)

    def drawn(zeros: torch.Tensor) -> torch.Tensor:
        return torch.rand(zeros.shape, generator=generator) if zeros.is_floating_point() else zeros

    example = mapped(drawn, example_of(input_shape, 3))
    names = _names(example)
    path = str(folder / ONNX)
    with torch.no_grad():
        expected = plain(called_with(model.eval(), example))
    try:
        with plain_outputs(_inner(model)) as traced:
            torch.onnx.export(
                traced,
                f=path,
                **_traced_with(example),
                dynamo=True,
                external_data=False,
                input_names=names,
                output_names=["output"] if isinstance(expected, torch.Tensor) else None,
                verbose=False,
            )
    except Exception as error:  # as torch.export
        raise StorageError(f"this network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    fed = {name: part.numpy() for name, part in zip(names, parts_of(example), strict=True)}
    given = onnxruntime.InferenceSession(path).run(None, fed)
    wanted = [leaf for leaf in tree_leaves(expected) if isinstance(leaf, torch.Tensor)]
    if len(given) != len(wanted) or not all(map(_is_close, given, wanted)):
        raise StorageError("the network exported to ONNX computes something else in onnxruntime; use model.pt2")


def _is_close(given: Any, expected: torch.Tensor) -> bool:
    return torch.allclose(torch.from_numpy(given), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def publish(source: Path, destination: Path) -> None:
    """Move a finished folder to where the user wants it, all or nothing.

    Raises:
        InvalidInputError: The destination is there already and not empty, or cannot be written.
    """
    check_destination(destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".nas-sens-") as staging:
            (copy := Path(staging) / "export").mkdir()  # with permissions as files here have, not a temporary folder's
            for file in source.iterdir():
                shutil.copyfile(file, copy / file.name)
            if destination.exists():
                destination.rmdir()
            copy.rename(destination)
    except OSError as error:
        raise InvalidInputError(f"cannot write the export to {str(destination)!r}: {error.strerror}") from error


def check_destination(destination: Path) -> None:
    """Check that an export may be written to ``destination``.

    Raises:
        InvalidInputError: It is a file or a link, or a folder that is not empty, or cannot be written.
    """
    try:
        is_new = not os.path.lexists(destination)
        is_empty = not is_new and not destination.is_symlink() and destination.is_dir() and not os.listdir(destination)
        there = next(p for p in destination.absolute().parents if os.path.lexists(p))
        may_write = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        raise InvalidInputError(f"cannot export to {str(destination)!r}: {error.strerror}") from error
    if not (is_new or is_empty) or "\0" in str(destination):
        raise InvalidInputError(f"the folder to export to must be new or empty; {str(destination)!r} is not")
    if not may_write:
        raise InvalidInputError(f"cannot export to {str(destination)!r}: {str(there)!r} is no folder to write into")
