"""The weights that a training goes on from, where a study refines another one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from ..core.errors import StorageError
from ..models import model_folder
from .session import Session


def start_weights(session: Session, candidate: str) -> Mapping[str, torch.Tensor] | None:
    """Return the weights of a candidate's best training in the earlier study; None to begin from random ones.

    Args:
        session: The study.
        candidate: Identity of the candidate.

    Raises:
        StorageError: They are not there any more.
    """
    refine = session.spec.refine
    if refine is None or refine.start != "weights":
        return None
    with tempfile.TemporaryDirectory() as folder:
        if not session.storage.exists(refine.study):
            raise StorageError(
                f"the study {refine.study!r}, whose weights are trained on, is not in this database any more; bring it "
                "back, or refine --from scratch under another --name"
            )
        for filename in (model_folder.CONFIG, model_folder.WEIGHTS):
            session.storage.fetch_artifact(refine.study, refine.trial_of(candidate), filename, Path(folder) / filename)
        what = f"the network of training {refine.trial_of(candidate)} of study {refine.study!r}"
        return model_folder.read_model(folder, what=what).state_dict()
