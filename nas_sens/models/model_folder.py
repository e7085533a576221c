"""The chosen network, ready for use: timm's folder format, PyTorch's own export and, behind an extra, ONNX."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from ..architectures import ArchitectureSpec, load_spec
from ..core.errors import InvalidInputError, StorageError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PROGRAM = "model.pt2"
ONNX = "model.onnx"
CARD = "README.md"


def model_config(
    architecture: ArchitectureSpec,
    *,
    input_shape: tuple[int, ...],
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
    layers = [n for n, m in skeleton.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    convolutions = [n for n, m in skeleton.named_modules() if isinstance(m, nn.Conv2d)]
    return {
        "architecture": "nas_sens",
        "num_classes": n_outputs,
        "model_args": {
            "architecture": architecture.to_dict(),
            "input_shape": list(input_shape),
            "num_classes": n_outputs,
        },
        "pretrained_cfg": {
            "input_size": list(input_shape),
            "num_classes": n_outputs,
            "mean": list(mean) or [0.0] * input_shape[0],
            "std": list(std) or [1.0] * input_shape[0],
            "crop_pct": 1.0,
            "first_conv": convolutions[0] if convolutions else None,
            "classifier": layers[-1],
        },
        "nas_sens": dict(provenance),
    }


def write_model(folder: Path, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an existing folder."""
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(dict(state), str(folder / WEIGHTS))


def read_model(folder: str | Path, *, device: torch.device | str = "cpu") -> nn.Module:
    """Return the trained network of an exported folder, in evaluation mode.

    It expects inputs as training saw them: see ``mean`` and ``std`` under ``pretrained_cfg`` in ``config.json``.

    Raises:
        InvalidInputError: There is no such folder, or it is no export.
        StorageError: A file in it is corrupt.
    """
    folder = Path(folder)
    for filename in (CONFIG, WEIGHTS):
        if not (folder / filename).is_file():
            raise InvalidInputError(f"{str(folder)!r} is no exported model: it has no {filename}")
    try:
        arguments = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_args"]
        architecture = load_spec(arguments["architecture"])
        model = architecture.skeleton(tuple(arguments["input_shape"]), arguments["num_classes"]).to_empty(device=device)
        model.load_state_dict(load_file(str(folder / WEIGHTS), device=str(device)))
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, RuntimeError, SafetensorError, OSError) as error:
        message = str(error).splitlines()[0]
        raise StorageError(f"the exported model in {str(folder)!r} is corrupt: {message}") from error
    return model.eval()


def write_program(folder: Path, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Write ``model.pt2`` by torch.export, with any batch size: it loads where nas_sens is not installed.

    Raises:
        StorageError: torch.export cannot trace the network.
    """
    batch = torch.export.Dim("batch", min=1)
    example = torch.zeros((2, *input_shape))
    try:
        program = torch.export.export(model.eval(), (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, folder / PROGRAM)
    except Exception as error:  # torch.export raises errors of many kinds for what it cannot trace
        raise StorageError(f"torch.export cannot export this network: {str(error).splitlines()[0]}") from error


def write_onnx(folder: Path, model: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Write ``model.onnx`` with any batch size, and check with onnxruntime that it computes the same.

    Raises:
        InvalidInputError: The packages of the extra ``onnx`` are not installed.
        StorageError: The network cannot be exported, or onnxruntime computes something else.
    """
    if missing := [p for p in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(p) is None]:
        raise InvalidInputError(f"ONNX needs {', '.join(missing)}; install them by: pip install 'nas-sens[onnx]'")
    import onnxruntime

    batch = torch.export.Dim("batch", min=1)
    example = torch.rand((3, *input_shape), generator=torch.Generator().manual_seed(0))
    path = str(folder / ONNX)
    try:
        torch.onnx.export(
            model.eval(),
            (example,),
            path,
            dynamic_shapes=({0: batch},),
            dynamo=True,
            external_data=False,
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
    except Exception as error:  # as torch.export
        raise StorageError(f"this network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    given = onnxruntime.InferenceSession(path).run(None, {"input": example.numpy()})[0]
    with torch.no_grad():
        expected = model(example)
    if not torch.allclose(torch.from_numpy(given), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())):
        raise StorageError("the network exported to ONNX computes something else in onnxruntime; use model.pt2")


def publish(source: Path, destination: Path) -> None:
    """Move a finished folder to where the user wants it, all or nothing.

    Raises:
        InvalidInputError: The destination is there already and not empty, or cannot be written.
    """
    check_destination(destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".nas-sens-") as staging:
            copy = shutil.copytree(source, Path(staging) / "export")
            if destination.exists():
                destination.rmdir()
            copy.rename(destination)
    except OSError as error:
        raise InvalidInputError(f"cannot write the export to {str(destination)!r}: {error.strerror}") from error


def check_destination(destination: Path) -> None:
    """Check that an export may be written to ``destination``.

    Raises:
        InvalidInputError: It is a file, or a folder that is not empty.
    """
    if destination.is_file() or (destination.is_dir() and any(destination.iterdir())):
        raise InvalidInputError(f"the folder to export to must be new or empty; {str(destination)!r} is not")
