"""Exported networks for tests, without a search."""

from __future__ import annotations

from pathlib import Path

import torch

import nas_sens as ns
from nas_sens.models import model_folder


def exported(
    folder: Path, data: ns.DataSpec, spec: ns.ArchitectureSpec, **found: object
) -> tuple[torch.nn.Module, ns.Splits]:
    """Write an untrained network for data, as a study would; return it in evaluation mode, and the data."""
    splits = ns.load_data(data)
    model = spec.build(splits.input_shape, splits.n_outputs, generator=torch.Generator().manual_seed(0))
    provenance = {
        "task": splits.task,
        "class_names": list(splits.class_names),
        "feature_names": list(splits.feature_names),
        **found,
    }
    config = model_folder.model_config(
        spec,
        input_shape=splits.input_shape,
        n_outputs=splits.n_outputs,
        mean=splits.mean,
        std=splits.std,
        per_input=data.per_input,
        class_names=splits.class_names,
        provenance=provenance,
    )
    folder.mkdir()
    model_folder.write_model(folder, config, model.state_dict())
    return model.eval(), splits
