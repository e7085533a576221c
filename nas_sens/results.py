"""What a study found: ranking, the trained networks, export."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from . import export
from .architectures import ArchitectureSpec, load_spec
from .candidates import Candidate
from .errors import InvalidInputError
from .features import selection_features
from .model_card import render_card
from .records import CURVES, ScoredCandidate, TrainedCandidate
from .selection import ranking_figure
from .storage import DEFAULT_STORAGE, StudyStorage

if TYPE_CHECKING:
    import pandas as pd

RANK_BY = ("val_loss", "val_error", "predicted_loss", "log10_sensitivity_after", "params")


@dataclass(frozen=True)
class SearchResult:
    """A study's outcome.

    Attributes:
        name: Name of the study.
        protocol: The study as declared, JSON-like; ``data.task`` is the one that "auto" came to.
        candidates: Every candidate, in the order in which they were stored.
        trials: Every trained candidate, the best first by ``ranked_by``, failed ones last.
        ranked_by: Figure of a trained candidate, smaller being better.
    """

    name: str
    protocol: dict[str, Any]
    candidates: tuple[ScoredCandidate, ...]
    trials: tuple[TrainedCandidate, ...]
    ranked_by: str = "val_loss"

    @property
    def best(self) -> TrainedCandidate:
        """The trained candidate of the first rank.

        Raises:
            InvalidInputError: Nothing is trained yet.
        """
        if not self.trials or not self.trials[0].is_ok:
            raise InvalidInputError(
                f"the study {self.name!r} has no trained candidate yet; run a search or train first"
            )
        return self.trials[0]

    def frame(self) -> pd.DataFrame:
        """Return the trained candidates, one a row, best first; measures in columns ``measure_NAME``."""
        import pandas as pd

        rows = [t.flat() for t in self.trials]
        plain = [k for k in TrainedCandidate.__dataclass_fields__ if k not in (*CURVES, "measures", "training")]
        return pd.DataFrame(rows, columns=list(dict.fromkeys([*plain, *(k for row in rows for k in row)])))


def storage_url(given: str | None) -> str:
    """Return the storage URL: the given one, else ``OPTUNA_STORAGE``, else an SQLite file in the working directory."""
    return given or os.environ.get("OPTUNA_STORAGE") or DEFAULT_STORAGE


def read_result(storage: StudyStorage, name: str, *, by: str | None = None) -> SearchResult:
    """Return what is in the database of a study.

    Args:
        storage: The database.
        name: The study.
        by: Figure to rank trained candidates by, smaller first; one of :data:`RANK_BY`, or None for what the study
            declares as ``[select] final``.

    Raises:
        InvalidInputError: There is no such study, or ``by`` is unknown.
    """
    if by is not None and by not in RANK_BY:
        raise InvalidInputError(f"a ranking must be by one of {', '.join(RANK_BY)}; given {by!r}")
    attributes = storage.attributes(name)
    protocol = json.loads(attributes["study"])
    protocol["data"]["task"] = attributes.get("task", "classification")  # older studies lack it
    if by is None:
        by = ranking_figure(protocol)
    trained = sorted(storage.trained(name), key=lambda t: (not t.is_ok, _key(getattr(t, by)), t.digest))
    return SearchResult(name, protocol, tuple(storage.scored(name)), tuple(trained), by)


def known_outcomes(storage: StudyStorage, name: str, outcome: str) -> tuple[list[Candidate], dict[str, float]]:
    """Return the trained candidates of a study as selection sees them, and digest to one of their figures.

    Raises:
        InvalidInputError: There is no such study or figure.
    """
    result = read_result(storage, name)
    trained = [t for t in result.trials if t.is_ok]
    if outcome not in ("val_loss", "val_error", "test_loss", "test_error"):
        raise InvalidInputError(
            f"the outcome of a study must be val_loss, val_error, test_loss or test_error; given {outcome!r}"
        )
    outcomes = {t.digest: float(getattr(t, outcome)) for t in trained}
    return [selection_features(c) for c in result.candidates if c.digest in outcomes], outcomes


def _key(value: float | None) -> float:
    return math.inf if value is None else value


def trial_of_rank(result: SearchResult, rank: int) -> TrainedCandidate:
    """Return the trained candidate at a rank, 1 being the best.

    Raises:
        InvalidInputError: There is no such rank.
    """
    ranked = [t for t in result.trials if t.is_ok]
    if not 1 <= rank <= len(ranked):
        there = f"1 to {len(ranked)}" if ranked else "none, as nothing is trained yet"
        raise InvalidInputError(f"rank {rank} of study {result.name!r} does not exist; ranks: {there}")
    return ranked[rank - 1]


def load_model(
    source: str | Path,
    name: str | None = None,
    *,
    rank: int = 1,
    artifacts: str | Path | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Return a trained network in evaluation mode, from a study or from an exported folder.

    Args:
        source: Storage URL of the study, or an exported folder if ``name`` is None.
        name: The study.
        rank: Place in the ranking, 1 being the best.
        artifacts: Artifact folder of the storage; None for the default of the URL.
        device: Where to put the network.

    Raises:
        InvalidInputError: There is no such study, rank or folder.
        StorageError: The weights are missing or corrupt.
    """
    if name is None:
        return export.read_model(source, device=device)
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(_open(source, artifacts), name, rank, Path(folder))
        return export.read_model(folder, device=device)


def load_architecture(source: str | Path, name: str, *, rank: int = 1) -> ArchitectureSpec:
    """Return the architecture at a rank of a study, to train it elsewhere."""
    return load_spec(trial_of_rank(read_result(_open(source, None), name), rank).architecture)


def export_model(
    source: str | StudyStorage,
    name: str,
    destination: str | Path,
    *,
    rank: int = 1,
    artifacts: Path | None = None,
    onnx: bool = False,
    licence: str = "unknown",
) -> Path:
    """Write a trained network to a folder, ready for use, and return the folder.

    It holds ``config.json`` and ``model.safetensors``, which ``timm.create_model("local-dir:…", pretrained=True)`` and
    :func:`load_model` load, ``model.pt2``, which ``torch.export.load`` loads where nas_sens is not installed, and a
    model card.

    Args:
        source: Storage URL, or an open storage.
        name: The study.
        destination: A new or empty folder.
        rank: Place in the ranking.
        artifacts: Artifact folder of the storage; None for the default of the URL.
        onnx: Whether to write ``model.onnx`` too (extra ``onnx``).
        licence: Licence identifier for the model card.

    Raises:
        InvalidInputError: The folder is not empty, or there is no such study or rank, or the extra is not installed.
        StorageError: The weights are missing, or the network cannot be exported.
    """
    destination = Path(destination)
    export.check_destination(destination)
    storage = source if isinstance(source, StudyStorage) else _open(source, artifacts)
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(storage, name, rank, Path(folder))
        complete(Path(folder), onnx=onnx, licence=licence)
        export.publish(Path(folder), destination)
    return destination


def complete(folder: Path, *, onnx: bool = False, licence: str = "unknown") -> None:
    """Add ``model.pt2``, the model card and, if asked for, ``model.onnx`` to a folder that ``write_model`` wrote."""
    model = export.read_model(folder)  # what is handed out loads
    config = json.loads((folder / export.CONFIG).read_text(encoding="utf-8"))
    shape = tuple(config["model_args"]["input_shape"])
    export.write_program(folder, model, shape)
    if onnx:
        export.write_onnx(folder, model, shape)
    (folder / export.CARD).write_text(render_card(config, licence=licence), encoding="utf-8")


def fetch_model(storage: StudyStorage, name: str, rank: int, folder: Path) -> TrainedCandidate:
    """Copy the files of a trained network into ``folder`` and return its record."""
    result = read_result(storage, name)
    trial = trial_of_rank(result, rank)
    assert trial.number is not None
    if table := result.protocol["train"].get("table"):
        raise InvalidInputError(
            f"the study {name!r} looked its outcomes up in {table}, so there are no weights; load_architecture(...) "
            "returns the architecture to train"
        )
    for filename in (export.CONFIG, export.WEIGHTS):
        storage.fetch_artifact(name, trial.number, filename, folder / filename)
    return trial


def _open(source: str | Path, artifacts: str | Path | None) -> StudyStorage:
    folder = None if artifacts is None else Path(artifacts)
    return StudyStorage(str(source), artifacts=folder, must_exist=True)
