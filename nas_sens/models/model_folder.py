"""The chosen network as a folder in timm's format: what it holds, written whole, read only where it is intact."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from ..architectures import ArchitectureSpec, load_spec
from ..core.errors import InvalidInputError, first_line
from ..core.inputs import InputShape, shape_to_json
from .exported_config import arguments, check_weights, read_config
from .preprocessing import prepare_each_input, timm_keys

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
DIGEST = "weights_sha256"  # key of `CONFIG`: no program that reads weights checks their bytes


def model_config(
    architecture: ArchitectureSpec,
    *,
    input_shape: InputShape,
    n_outputs: int,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    per_input: str = "",
    class_names: Sequence[str] = (),
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what ``config.json`` holds: timm's keys, and under ``nas_sens`` where the network comes from.

    Args:
        architecture: The network's architecture.
        input_shape: Shape of one input.
        n_outputs: Number of outputs.
        mean: What is subtracted from raw inputs per channel or feature; empty for nothing.
        std: What they are divided by then; empty for nothing.
        per_input: What is done to each input by itself after that (`nas_sens.data.per_input`); empty for nothing.
        class_names: Names of the classes, in the order of the outputs; empty where there are none.
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
            "input_shape": shape_to_json(input_shape),
            "num_classes": n_outputs,
            **({per_input: True} if per_input else {}),
        },
        "pretrained_cfg": {
            "input_size": shape_to_json(input_shape),
            "num_classes": n_outputs,
            **timm_keys(input_shape, mean=mean, std=std, class_names=class_names),
            "first_conv": convolutions[0] if convolutions else None,
            "classifier": layers[-1] if layers else None,
        },
        "nas_sens": dict(provenance),
    }


def write_model(folder: Path, config: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    """Write ``config.json`` and ``model.safetensors`` into an existing folder."""
    weights = save(dict(state))
    _write_config(folder, {**config, DIGEST: hashlib.sha256(weights).hexdigest()})
    (folder / WEIGHTS).write_bytes(weights)  # `save_file` makes it readable by its owner only


def tell_preprocessing(folder: Path) -> None:
    """Have the ``config.json`` of an earlier nas_sens say how inputs are prepared, which it knows in other words.

    Raises:
        InvalidInputError: It cannot be read.
    """
    config = read_config(folder / CONFIG)
    found = config.get("nas_sens", {})
    prepared, shape = config["pretrained_cfg"], arguments(config).shape
    told = timm_keys(shape, mean=prepared["mean"], std=prepared["std"], class_names=found.get("class_names", ()))
    if missing := {key: value for key, value in told.items() if key not in prepared}:
        is_normed = bool(found.get("study", {}).get("data", {}).get("unit_norm"))
        model_args = config["model_args"] | ({"unit_norm": True} if is_normed else {})
        _write_config(folder, {**config, "model_args": model_args, "pretrained_cfg": prepared | missing})


def _write_config(folder: Path, config: Mapping[str, Any]) -> None:
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_model(folder: str | Path, *, device: torch.device | str = "cpu", what: str | None = None) -> nn.Module:
    """Return the trained network of an exported folder, in evaluation mode.

    It expects inputs as training saw them: see ``pretrained_cfg`` in ``config.json``, and the model card.

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
    return prepare_each_input(model, given.per_input).eval()


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
        there = next((p for p in destination.absolute().parents if os.path.lexists(p)), destination)  # none of "/"
        may_write = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        raise InvalidInputError(f"cannot export to {str(destination)!r}: {error.strerror}") from error
    if not (is_new or is_empty) or "\0" in str(destination):
        raise InvalidInputError(f"the folder to export to must be new or empty; {str(destination)!r} is not")
    if not may_write:
        raise InvalidInputError(f"cannot export to {str(destination)!r}: {str(there)!r} is no folder to write into")
