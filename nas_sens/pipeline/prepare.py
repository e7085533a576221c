"""Prepare: the data, the probe and the device, checked against the declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..core.device import resolve_device
from ..core.errors import InvalidInputError
from ..data import DataSpec, Splits, load_data
from ..samplers.proposer import sampler_of
from ..scoring.probe import Probe, probe_inputs
from ..study.pretrained import check_pretrained
from ..study.study_spec import StudySpec
from ..training.outcome_lookup import TrainingTable, read_training_table
from ..training.trainable import check_trainable
from .feasible import check_feasible


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a study works with.

    Attributes:
        spec: Its declaration.
        splits: The data on the device.
        probe: What candidates are scored with.
        table: Outcomes, if they are looked up instead of trained.
    """

    spec: StudySpec
    splits: Splits
    probe: Probe
    table: TrainingTable | None = None


def prepare(
    spec: StudySpec,
    *,
    device: str | torch.device = "auto",
    load: Callable[[DataSpec], Splits] = load_data,
) -> Prepared:
    """Return the data on the device, and what candidates are scored with.

    Args:
        spec: A study that :func:`~nas_sens.pipeline.declare.declare` returned.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``mps``, ``xpu``: see
            :func:`nas_sens.core.device.resolve_device`.
        load: Returns the data of ``[data]`` on the CPU.

    Raises:
        InvalidInputError: There is no such device, the data, the table of outcomes or pre-trained weights are missing
            or unusable, or they do not go with the declaration.
    """
    where = resolve_device(device)
    table = None
    if spec.train.table is not None:
        required = sorted({spec.select.target, spec.final})
        table = read_training_table(spec.train.table, required=required)
    splits = load(spec.data)
    if spec.train.trainer is None:
        for training in spec.trainings:
            check_trainable(training, splits)
    _check_task(spec, splits)
    sampler_of(spec.search_space, spec.search.sampler, spec.search.n_candidates)  # can be had, or raises
    check_pretrained(spec.search_space, splits.input_shape, splits.n_outputs)
    check_feasible(spec.search_space, splits, seed=spec.search.seed, device=where)
    moved = splits.to(where)
    x, y = probe_inputs(moved, spec.score, seed=spec.search.seed)
    return Prepared(spec=spec, splits=moved, probe=Probe(x, spec.score, seed=spec.search.seed, y=y), table=table)


def _check_task(spec: StudySpec, splits: Splits) -> None:
    """Check that what is scored and ranked by has a meaning for the data.

    Raises:
        InvalidInputError: It has none.
    """
    if spec.score.after_softmax and splits.task in ("regression", "multilabel"):
        raise InvalidInputError(
            f"after_softmax = true in [score] needs classes, but data {spec.data.name!r} is for {splits.task}: a "
            "softmax has no meaning for its outputs; set it to false"
        )
    if spec.final == "predicted_loss" and spec.train.loss != "cross_entropy" and splits.task == "classification":
        raise InvalidInputError(
            '[select] final = "predicted_loss" is a cross-entropy, but [train] loss is '
            f'"{spec.train.loss}"; take another final'
        )
