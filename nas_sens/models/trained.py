"""The trained networks of a study: loading them, and writing them to a folder ready for use."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ..architectures import ArchitectureSpec, load_spec
from ..core.candidates import TrainedCandidate
from ..core.declarations import changed
from ..core.errors import InvalidInputError
from ..data import Splits, load_data
from ..results.search_result import read_result, trial_of_rank
from ..storage.attribute_types import declared_in, of_study
from ..storage.study_storage import StudyStorage
from ..study.load import from_dict
from . import model_folder
from .card import render_card
from .exported_config import arguments, from_pixels, metadata_of, read_config
from .int8 import in_words, write_int8
from .onnx_file import write_onnx, write_pixels_onnx
from .program import write_pixels_program, write_program


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
        artifacts: Folder or bucket of the artifacts; None for what the study remembers.
        device: Where to put the network.

    Raises:
        InvalidInputError: There is no such study, rank or folder, its files are damaged, or the study looked its
            outcomes up in a table.
        StorageError: The weights are missing.
    """
    if name is None:
        return model_folder.read_model(source, device=device)
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(_open(source, artifacts), name, rank, Path(folder))
        return model_folder.read_model(folder, device=device, what=_called(name, rank))


def load_architecture(source: str | Path, name: str, *, rank: int = 1) -> ArchitectureSpec:
    """Return the architecture at a rank of a study, to train it elsewhere."""
    return load_spec(trial_of_rank(read_result(_open(source, None), name), rank).architecture)


def export_model(
    source: str | StudyStorage,
    name: str,
    destination: str | Path,
    *,
    rank: int = 1,
    artifacts: str | Path | None = None,
    onnx: bool = False,
    with_preprocessing: bool = False,
    int8: bool = False,
    data: str | None = None,
    on_int8: Callable[[str], None] | None = None,
    licence: str = "unknown",
) -> Path:
    """Write a trained network to a folder, ready for use.

    It holds ``config.json`` and ``model.safetensors``, which ``timm.create_model("local-dir:…", pretrained=True)`` and
    :func:`load_model` load, ``model.pt2``, which ``torch.export.load`` loads where nas_sens is not installed, and a
    model card.

    Args:
        source: Storage URL, or an open storage.
        name: The study.
        destination: A new or empty folder.
        rank: Place in the ranking.
        artifacts: Folder or bucket of the artifacts; None for what the study remembers.
        onnx: Whether to write ``model.onnx`` too (extra ``onnx``).
        with_preprocessing: Whether to write ``model_from_pixels.pt2`` (and with ``onnx`` ``model_from_pixels.onnx``)
            too, which take pictures as decoders give them: uint8 (n, height, width, channels) of any size.
        int8: Whether to write ``model_int8.onnx`` too, by ONNX Runtime's quantiser (extra ``onnx``); the model card has
            what it loses on the study's validation and test set.
        data: Where the study's data lie on this machine, as ``[data] name``, if not where it says; for ``int8``.
        on_int8: Told in one line what 8 bits cost.
        licence: Licence identifier for the model card.

    Returns:
        The path of the folder.

    Raises:
        InvalidInputError: The folder is not empty, there is no such study or rank, the study looked its outcomes up in
            a table, the extra is not installed, inputs are no pictures to prepare, or the data are others now.
        StorageError: The weights are missing, or the network cannot be exported.
    """
    destination = Path(destination)
    model_folder.check_destination(destination)
    storage = source if isinstance(source, StudyStorage) else _open(source, artifacts)
    splits = _data_of(storage, name, data) if int8 else None
    with tempfile.TemporaryDirectory() as folder:
        fetch_model(storage, name, rank, Path(folder))
        what = _called(name, rank)
        errors = complete(
            Path(folder),
            onnx=onnx,
            with_preprocessing=with_preprocessing,
            int8_on=splits,
            licence=licence,
            what=what,
        )
        model_folder.publish(Path(folder), destination)
    if errors and on_int8 is not None:
        on_int8(in_words(errors))
    return destination


def _data_of(storage: StudyStorage, name: str, place: str | None) -> Splits:
    """Return the data of a study.

    Raises:
        InvalidInputError: They are not where they were, or have changed.
    """
    attributes = storage.attributes(name)
    spec = from_dict(declared_in(name, attributes)).data
    splits = load_data(spec if place is None else changed(spec, where="data", name=place))
    if splits.fingerprint != (begun := of_study(name, attributes, "data_fingerprint")):
        raise InvalidInputError(
            f"the data of study {name!r} changed: fingerprint {begun} stored, {splits.fingerprint} given; restore "
            "them, or leave --int8 out"
        )
    return splits


def complete(
    folder: Path,
    *,
    onnx: bool = False,
    with_preprocessing: bool = False,
    int8_on: Splits | None = None,
    licence: str = "unknown",
    what: str | None = None,
) -> dict[str, float]:
    """Add programs and the model card to a folder that ``write_model`` wrote.

    Args:
        folder: The folder.
        onnx: Whether to write ONNX beside the program of PyTorch's.
        with_preprocessing: Whether to write both with the preprocessing of pictures in them, too.
        int8_on: The data by which to write ONNX in 8 bits, too, and to measure what it loses; None not to.
        licence: Licence identifier for the model card.
        what: What the network is called in messages; None for the folder's path.

    Returns:
        What 8 bits cost, see :func:`nas_sens.models.int8.write_int8`; empty without.

    Raises:
        InvalidInputError: An extra is not installed, or there are no pictures to prepare.
        StorageError: The network cannot be exported.
    """
    model_folder.tell_preprocessing(folder)
    model = model_folder.read_model(folder, what=what)  # what is handed out loads
    config = read_config(folder / model_folder.CONFIG)
    shape, metadata = arguments(config).shape, metadata_of(config)
    pixels = from_pixels(model, config) if with_preprocessing else None
    write_program(folder, model, shape)
    if onnx or int8_on is not None:
        write_onnx(folder, model, shape, metadata)
    if pixels is not None:
        write_pixels_program(folder, pixels)
        if onnx:
            write_pixels_onnx(folder, pixels, metadata)
    errors = {} if int8_on is None else write_int8(folder, int8_on)
    card = render_card(config, licence=licence, from_pixels=with_preprocessing, int8=errors)
    (folder / model_folder.CARD).write_text(card, encoding="utf-8")
    return errors


def fetch_model(storage: StudyStorage, name: str, rank: int, folder: Path) -> TrainedCandidate:
    """Copy the files of a trained network into ``folder``.

    Returns:
        Its record.

    Raises:
        InvalidInputError: There is no such study or rank, or the study looked its outcomes up in a table.
        StorageError: The files are missing.
    """
    result = read_result(storage, name)
    trial = trial_of_rank(result, rank)
    assert trial.number is not None
    if table := result.protocol["train"].get("table"):
        raise InvalidInputError(
            f"the study {name!r} looked its outcomes up in {table}, so there are no weights; load_architecture(...) "
            "returns the architecture to train"
        )
    for filename in (model_folder.CONFIG, model_folder.WEIGHTS):
        storage.fetch_artifact(name, trial.number, filename, folder / filename)
    return trial


def _called(name: str, rank: int) -> str:
    return f"the network of rank {rank} of study {name!r}"


def _open(source: str | Path, artifacts: str | Path | None) -> StudyStorage:
    return StudyStorage(str(source), artifacts=artifacts, must_exist=True)
