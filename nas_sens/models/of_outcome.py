"""``ns.export``: a training without a study as a folder ready for use."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..architectures import ArchitectureSpec
from ..architectures.base import count_flops, count_params
from ..core.candidates import STATUS_OK
from ..core.errors import InvalidInputError
from ..core.figures import FIGURES
from ..core.inputs import is_plain
from ..data import DataSpec, Splits
from ..study.train_spec import TrainSpec
from ..training.outcome import Outcome
from . import model_folder
from .trained import complete


def export(
    outcome: Outcome,
    destination: str | Path,
    *,
    architecture: ArchitectureSpec,
    data: Splits,
    data_spec: DataSpec | None = None,
    train_spec: TrainSpec | None = None,
    onnx: bool = False,
    with_preprocessing: bool = False,
    int8: bool = False,
    licence: str = "unknown",
) -> Path:
    """Write the network of a training to a folder, ready for use, as :func:`nas_sens.export_model` does of a study.

    Args:
        outcome: What :func:`nas_sens.train` returned.
        destination: A new or empty folder.
        architecture: What was trained.
        data: What it was trained on.
        data_spec: How the data were declared, for the model card; needed where they were divided by their norm.
        train_spec: How it was trained, for the model card.
        onnx: Whether to write ``model.onnx`` too (extra ``onnx``).
        with_preprocessing: Whether to write programs that take pictures as decoders give them, too.
        int8: Whether to write ``model_int8.onnx`` too, and measure what it loses (extra ``onnx``).
        licence: Licence identifier for the model card.

    Returns:
        The path of the folder.

    Raises:
        InvalidInputError: The training failed, the weights are those of another architecture, the folder is not empty,
            an extra is not installed, or inputs are no pictures to prepare.
        StorageError: The network cannot be exported.
    """
    destination = Path(destination)
    if outcome.status != STATUS_OK or not outcome.state:
        raise InvalidInputError(f"the outcome of a finished training is required; this one is: {outcome.status}")
    model_folder.check_destination(destination)
    config = model_folder.model_config(
        architecture,
        input_shape=data.input_shape,
        n_outputs=data.n_outputs,
        mean=data.mean,
        std=data.std,
        per_input="" if data_spec is None else data_spec.per_input,
        class_names=data.class_names,
        provenance=_provenance(outcome, architecture, data, data_spec, train_spec),
    )
    with tempfile.TemporaryDirectory() as folder:
        model_folder.write_model(Path(folder), config, outcome.state)
        complete(
            Path(folder),
            onnx=onnx,
            with_preprocessing=with_preprocessing,
            int8_on=data if int8 else None,
            licence=licence,
            what="the network of this outcome",
        )
        model_folder.publish(Path(folder), destination)
    return destination


def _provenance(
    outcome: Outcome,
    architecture: ArchitectureSpec,
    data: Splits,
    data_spec: DataSpec | None,
    train_spec: TrainSpec | None,
) -> dict[str, Any]:
    skeleton = architecture.skeleton(data.input_shape, data.n_outputs)
    known = {f.name: getattr(outcome, f.name) for f in FIGURES if hasattr(outcome, f.name)}
    figures: dict[str, Any] = {k: v for k, v in known.items() if math.isfinite(v)}
    if outcome.sensitivity > 0 and math.isfinite(outcome.sensitivity):
        figures["log10_sensitivity_after"] = math.log10(outcome.sensitivity)
    figures |= {"figures": dict(outcome.figures), "n_seeds": 1, "seconds": outcome.seconds}
    figures["params"] = count_params(skeleton)
    if is_plain(data.input_shape):
        figures["flops"] = count_flops(skeleton.to_empty(device="cpu").eval(), data.input_shape)
    declared = {"data": {"name": data.name} if data_spec is None else asdict(data_spec)}
    return {
        "version": version("nas-sens"),
        "study": declared | ({} if train_spec is None else {"train": asdict(train_spec)}),
        "task": data.task,
        "class_names": list(data.class_names),
        "feature_names": list(data.feature_names),
        "figures": figures,
    }
