"""Predictions of an exported network for files of the user: prepared as training prepared them, named by class."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.device import resolve_device
from ..core.errors import InvalidInputError
from ..core.inputs import shape_text
from ..core.outputs import picked
from ..data.folder_pictures import pictures_in
from ..data.resizing import read_picture
from .exported_config import arguments, preparation, read_config
from .model_folder import CONFIG, read_model
from .predict_rows import rows_of_table
from .preprocessing import WHITE, picture_size

_BATCH = 64  # inputs of a pass
TABLES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a network says of one input.

    Attributes:
        source: The picture's path, or the number of the table's row, from 1.
        values: Of classes and labels the probabilities, of a regression the numbers that it predicts; by name.
        chosen: Classes or labels that are predicted; empty for a regression.
    """

    source: str
    values: dict[str, float]
    chosen: tuple[str, ...]


class Predictor:
    """An exported network with what its folder says of inputs and outputs.

    Args:
        folder: The exported folder.
        device: Where it runs.

    Attributes:
        names: Names of the outputs.
        task: What it was trained for.

    Raises:
        InvalidInputError: It is no export that is intact, or its outputs have no meaning that is known.
    """

    def __init__(self, folder: str | Path, *, device: str = "auto") -> None:
        self._device = resolve_device(device)
        self._model: nn.Module = read_model(folder, device=self._device)
        self._config = read_config(Path(folder) / CONFIG)
        self._found: dict[str, Any] = self._config.get("nas_sens", {})
        self._where = str(folder)
        self.task = self._found.get("task", "classification")
        if self.task not in ("classification", "regression", "multilabel"):
            raise InvalidInputError(
                f"the network in {self._where!r} is for a task of its own ({self.task}), whose outputs only its user "
                "can read; load it by nas_sens.load_model"
            )
        n = arguments(self._config).num_classes
        found = preparation(self._config).label_names
        self.names = found if len(found) == n else [str(i) for i in range(n)]

    def predict(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """Yield predictions for pictures, folders of pictures, or tables, in this order.

        Args:
            paths: Files and folders; in folders pictures are looked for at every depth.

        Yields:
            One for each picture, or for each row of a table.

        Raises:
            InvalidInputError: A file is not there, or is nothing that this network takes.
        """
        shape = arguments(self._config).shape
        size = picture_size(shape)
        for path in paths:
            if not os.path.exists(path):
                raise InvalidInputError(f"there is no file or folder {path!r} to predict for")
            if size is not None:
                yield from self._of_pictures(pictures_in(path), *size)
            elif self._found.get("feature_names") and path.lower().endswith(TABLES):
                yield from self._of_table(path)
            else:
                wanted = "a table in CSV" if self._found.get("feature_names") else "no files that are known"
                raise InvalidInputError(
                    f"the network in {self._where!r} takes {wanted} (inputs {shape_text(shape)}), and not {path!r}; "
                    "for other inputs call it: nas_sens.load_model"
                )

    def _of_pictures(self, paths: Sequence[str], mode: Any, height: int, width: int) -> Iterator[Prediction]:
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            pixels = [read_picture(p, mode, (height, width), source="predict") for p in part]
            yield from self._named(part, torch.from_numpy(np.stack(pixels)).float().div_(WHITE))

    def _of_table(self, path: str) -> Iterator[Prediction]:
        x = torch.from_numpy(rows_of_table(path, self._found))
        numbers = [str(i) for i in range(1, len(x) + 1)]
        for start in range(0, len(x), _BATCH):
            yield from self._named(numbers[start : start + _BATCH], x[start : start + _BATCH])

    @torch.inference_mode()
    def _named(self, sources: Sequence[str], x: torch.Tensor) -> Iterator[Prediction]:
        """Yield predictions for raw inputs: pixels in [0, 1], features as they are written."""
        prepared = preparation(self._config)
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, std = (torch.tensor(v).to(x.dtype).view(shape) for v in (prepared.mean, prepared.std))  # as in training
        x = ((x - mean) / std).float().to(self._device)
        outputs = picked(self._model(x), len(x)).double().cpu()
        if self.task == "classification":
            outputs = torch.softmax(outputs / self._temperature, dim=1)
        elif self.task == "multilabel":
            outputs = torch.sigmoid(outputs / self._temperature)
        for source, row in zip(sources, outputs.tolist(), strict=True):
            yield Prediction(source=source, values=dict(zip(self.names, row, strict=True)), chosen=self._chosen(row))

    @property
    def _temperature(self) -> float:
        """What outputs are divided by, where the study scaled them."""
        found = self._found.get("figures", {}).get("temperature")
        return float(found) if isinstance(found, (int, float)) and found > 0 else 1.0

    def _chosen(self, row: Sequence[float]) -> tuple[str, ...]:
        if self.task == "classification":
            return (self.names[int(np.argmax(row))],)
        return tuple(n for n, p in zip(self.names, row, strict=True) if self.task == "multilabel" and p > 0.5)
