"""What a study's network takes for what, kept beside its weights for the report, which has neither data nor PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..core.device import memory_guard
from ..core.errors import InvalidInputError, OutOfMemoryError, first_line
from ..core.mistakes import FILENAME
from ..data import Splits
from ..models import model_folder
from ..study.study_spec import StudySpec
from ..training import Outcome
from ..training.mistakes import can_have_mistakes, find_mistakes


def mistakes_file(
    folder: Path, outcome: Outcome, *, spec: StudySpec, splits: Splits, say: Callable[[str], object]
) -> dict[str, Path]:
    """Return a file of the mistakes of the network that was just written into a folder; none where there cannot be one.

    It costs one pass of the validation set. There is none for a trainer of the user's own, whose outputs may mean
    anything, for a task without classes, and for a network that cannot be loaded once more: a training is not lost for
    that, and its log says it.

    Args:
        folder: Where :func:`~nas_sens.pipeline.network_files.network_files` wrote it, and where the file goes.
        outcome: The training that its weights are of.
        spec: The study as this candidate was trained by it.
        splits: The data, on the device that it was trained on.
        say: Writes a line into the training's log.
    """
    if spec.train.trainer is not None or not can_have_mistakes(splits):
        return {}
    try:
        with memory_guard():
            model = model_folder.read_model(folder, device=splits.x_val.device)
            is_logits = spec.train.loss_for(splits.task) != "mse"
            found = find_mistakes(model, splits, is_logits=is_logits, temperature=outcome.temperature)
    except (InvalidInputError, OutOfMemoryError) as error:
        say(f"{FILENAME} is not kept: {first_line(error)}")
        return {}
    (folder / FILENAME).write_text(found.to_json(), encoding="utf-8")
    return {FILENAME: folder / FILENAME}
