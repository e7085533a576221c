"""A trained network as the files that are kept with its training, from which it is exported and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..architectures import ArchitectureSpec
from ..core.candidates import TrainedCandidate
from ..data import Splits
from ..models import model_folder
from ..study.study_spec import StudySpec
from .train_summary import provenance


def network_files(
    folder: Path,
    architecture: ArchitectureSpec,
    state: Mapping[str, torch.Tensor],
    *,
    spec: StudySpec,
    record: TrainedCandidate,
    splits: Splits,
) -> dict[str, Path]:
    """Return the files of a network by name, written into a folder.

    Args:
        folder: Where they are written.
        architecture: The network's.
        state: Its weights.
        spec: The study as this candidate was trained by it.
        record: What its trainings came to.
        splits: What it was trained on.
    """
    config = model_folder.model_config(
        architecture,
        input_shape=splits.input_shape,
        n_outputs=splits.n_outputs,
        mean=splits.mean,
        std=splits.std,
        per_input=spec.data.per_input,
        class_names=splits.class_names,
        provenance=provenance(spec, record, splits),
    )
    model_folder.write_model(folder, config, state)
    return {f: folder / f for f in (model_folder.CONFIG, model_folder.WEIGHTS)}
