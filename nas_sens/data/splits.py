"""Train, validation and test sets as tensors: seeded, stratified by class, optionally standardised."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..core.device import in_double
from ..core.errors import InvalidInputError
from ..core.inputs import is_one_float, mapped, parts_of, rows_of, shape_of, shape_text
from ._drawn_rows import at_most, balanced, hold_out
from ._split_notes import absent_notes, scale_notes
from .data_spec import DataSpec
from .per_input import PER_INPUT
from .pictures import Pictures, moments_of
from .samples import Samples, Task

_ROWS = 256  # of pictures, at a time
_DECODED_FOR_MOMENT = 512
_CHUNK_NUMBERS = 2**20  # statistics are summed in float64 over about so many at a time, not over a copy of the data


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Training, validation and test set.

    Inputs are a tensor (n, *input_shape), float32, or int64 where they are whole numbers such as tokens; many or large
    pictures are :class:`~nas_sens.data.pictures.Pictures`, whose rows are such tensors; several
    tensors are a tuple (by position) or a dict (by keyword) of such, all of n rows. Labels are int64 (n,); targets of a
    regression float32 (n, K); several labels at once 0 and 1, float32 (n, K); for other tasks any tensor (n, …). Where
    there are only inputs to score with, all parts are without rows: their shapes and types are those of one input.

    Attributes:
        name: The data set's name.
        x_train: Training inputs.
        y_train: Training labels.
        x_val: Inputs that selection may see.
        y_val: Labels that selection may see.
        x_test: Inputs for the report only.
        y_test: Labels for the report only.
        x_probe: Inputs that candidates are scored with; None to take them from a part, as ``[score] inputs`` says.
        w_train: How much each training sample counts in the loss, float32 (n,), of mean 1; None for all alike.
        n_outputs: Number of classes, of labels, or of numbers to predict.
        mean: What was subtracted from the raw inputs, per channel or feature; empty if nothing was.
        std: What they were divided by then.
        task: What is to be learnt. For regression "labels" are targets in their own units.
        class_names: Name of every class, in the order of the labels; empty where labels are only numbers.
        feature_names: Name of every feature of a table, after one-hot encoding; empty where there are no names.
        notes: What was left out, taken for something or looks strange when the data were read, one line each.
        content: 16 hexadecimal digits that are the same for the same files of pictures and the same split, wherever the
            pictures are kept meanwhile; "" where inputs are no files.
    """

    name: str
    x_train: Any
    y_train: torch.Tensor
    x_val: Any
    y_val: torch.Tensor
    x_test: Any
    y_test: torch.Tensor
    n_outputs: int
    x_probe: Any = None
    w_train: torch.Tensor | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    task: Task = "classification"
    class_names: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    content: str = ""

    @property
    def input_shape(self) -> Any:
        """Shape of one input, with the type of its numbers; a tuple or dict of shapes where there are several tensors.

        See :class:`nas_sens.core.inputs.Shape`.
        """
        return shape_of(self.x_train)

    @property
    def has_only_probe(self) -> bool:
        """Whether there are only inputs to score with, and nothing to train on."""
        return len(self.y_train) == 0

    @property
    def is_streamed(self) -> bool:
        """Whether inputs stay on the disk until they are used."""
        return isinstance(self.x_train, Pictures) and self.x_train.is_streamed

    @cached_property
    def input_second_moment(self) -> float | None:
        """Second moment of an entry of the validation inputs, σ_x² of forouzesh2020.

        None unless these are one tensor of floating-point numbers. Of streamed pictures at most 512 are decoded for it.
        """
        x = self.x_probe if self.has_only_probe else self.x_val
        if not is_one_float(x):
            return None
        if self.is_streamed and len(x) > _DECODED_FOR_MOMENT:
            x = x[torch.linspace(0, len(x) - 1, _DECODED_FOR_MOMENT).long()]
        return float(sum(rows.square().sum() for rows in _chunks(x))) / int(x.numel())

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all tensors: the same only for the same data and split.

        Paths, times of change, and the order in which a file system lists files have no part in it. Of streamed
        pictures it is ``content``: all would have to be decoded to know their numbers.
        """
        if self.is_streamed:
            return self.content
        content = hashlib.sha256()
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, dict):
                content.update(str(list(value)).encode())
            for tensor in parts_of(value):
                if isinstance(tensor, (torch.Tensor, Pictures)):
                    content.update(str(tuple(tensor.shape)).encode())
                    for rows in [tensor] if isinstance(tensor, torch.Tensor) else tensor.split(_ROWS):
                        content.update(rows.cpu().contiguous().numpy().reshape(-1).view(np.uint8).data)
        return content.hexdigest()[:16]

    def to(self, device: torch.device | str) -> Splits:
        """Return the same splits with all tensors on ``device``."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors = {k: v for k, v in values.items() if k[:2] in ("x_", "y_", "w_") and v is not None}
        moved: dict[str, Any] = {k: mapped(lambda t: t.to(device), v) for k, v in tensors.items()}
        return replace(self, **moved)


def split(samples: Samples, spec: DataSpec) -> Splits:
    """Return the splits of ``samples`` that ``spec`` declares; the same seed gives the same rows.

    Every part is one copy of its rows, and the samples are left as they are: at its peak the data lie in memory twice.

    Raises:
        InvalidInputError: There are too few samples, or too few of some class, or the targets of a regression are all
            the same in some part, or ``spec`` asks for what these inputs do not have.
    """
    _check_kind(samples, spec)
    if len(samples.y) == 0:
        return _only_probe(samples, spec)
    labels = samples.y.numpy() if samples.task == "classification" else None
    train = np.arange(len(samples.y))
    x_test, y_test, x_val, y_val = samples.x_test, samples.y_test, samples.x_val, samples.y_val
    if x_test is None or y_test is None:
        train, test = hold_out(train, labels, spec.test_fraction, spec, "test_fraction", samples)
        x_test, y_test = samples.x, samples.y
    else:
        test = np.arange(len(y_test))
    if x_val is None or y_val is None:
        train, val = hold_out(train, labels, spec.val_fraction, spec, "val_fraction", samples)
        x_val, y_val = samples.x, samples.y
    else:
        val = np.arange(len(y_val))
    if spec.train_samples is not None:
        train = balanced(train, labels, spec.train_samples, spec)
    is_regression = labels is None
    val = at_most(val, None if is_regression else y_val.numpy(), spec.val_samples, spec)
    test = at_most(test, None if is_regression else y_test.numpy(), spec.test_samples, spec)
    result = Splits(
        name=spec.name,
        x_train=_part(samples.x, train),
        y_train=samples.y[train],
        x_val=_part(x_val, val),
        y_val=y_val[val],
        x_test=_part(x_test, test),
        y_test=y_test[test],
        x_probe=None if samples.x_probe is None else mapped(torch.clone, samples.x_probe),
        w_train=None if samples.weights is None else _of_mean_one(samples.weights[train], spec),
        n_outputs=samples.n_outputs,
        task=samples.task,
        class_names=samples.class_names,
        feature_names=samples.feature_names,
        notes=samples.notes,
    )
    result = replace(result, content=_content_of(result, samples, {"train": train, "val": val, "test": test}, spec))
    if samples.task == "regression":
        _check_targets_vary(result)
    absent = [] if is_regression else absent_notes(result)
    is_table = is_one_float(result.x_train) and result.x_train.ndim == 2
    notes = [] if spec.standardize or not is_table else scale_notes(result)
    result = _standardize_(result) if spec.standardize else result
    result = replace(_in_single(result), notes=(*result.notes, *absent, *notes))
    if key := spec.per_input:
        result = _changed(result, lambda x: replace(x, per_input=key), lambda x: x.copy_(PER_INPUT[key](x)))
    return result


def _of_mean_one(weights: np.ndarray, spec: DataSpec) -> torch.Tensor:
    """Return weights float32 (n,) of mean 1.

    Raises:
        InvalidInputError: All of them are 0.
    """
    if not weights.any():
        raise InvalidInputError(f"data {spec.name!r}: all training samples have the weight 0; give some of them more")
    return torch.from_numpy(weights / weights.mean()).float()


def _part(x: Any, rows: np.ndarray) -> Any:
    """Return a copy of some rows; of streamed pictures nothing is read."""
    return x.part(rows) if isinstance(x, Pictures) else rows_of(x, rows)


def _changed(
    splits: Splits, pictures: Callable[[Pictures], Pictures], tensor_: Callable[[torch.Tensor], object]
) -> Splits:
    """Return splits with other inputs: of pictures what a function makes of them, tensors changed in place."""
    parts: dict[str, Any] = {}
    for key, x in _inputs_of(splits).items():
        if isinstance(x, Pictures):
            parts[key] = pictures(x)
        else:
            tensor_(x)
    return replace(splits, **parts)


def _content_of(splits: Splits, samples: Samples, rows: Mapping[str, np.ndarray], spec: DataSpec) -> str:
    """Return a digest of the files of pictures in every part, of their labels, and of what becomes of them."""
    if not samples.digests:
        return ""
    content = hashlib.sha256(str((splits.x_train.shape[1:], spec.standardize, spec.per_input)).encode())
    for part, chosen in rows.items():
        content.update(f"{part} {len(chosen)}".encode())
        content.update(samples.digests.get(part, samples.digests["train"])[chosen].tobytes())
        content.update(getattr(splits, f"y_{part}").numpy().tobytes())
    if splits.w_train is not None:
        content.update(splits.w_train.numpy().tobytes())
    return content.hexdigest()[:16]


def _check_kind(samples: Samples, spec: DataSpec) -> None:
    """Check that what is asked for is meant for such inputs and targets.

    Raises:
        InvalidInputError: It is not.
    """
    asked = [key for key in ("standardize", *PER_INPUT) if getattr(spec, key)]
    if asked and not is_one_float(samples.x):
        raise InvalidInputError(
            f"{asked[0]} in [data] needs inputs of one floating-point tensor, but those of {spec.name!r} are "
            f"{shape_text(shape_of(samples.x))}; remove it"
        )
    keys = ("standardize", "train_samples", "val_samples", "test_samples")
    given = [key for key in keys if getattr(spec, key)]
    if given and len(samples.y) == 0:
        raise InvalidInputError(
            f"{given[0]} in [data] needs data to train on, but {spec.name!r} has only inputs to score with; remove it"
        )


def _only_probe(samples: Samples, spec: DataSpec) -> Splits:
    parts: dict[str, Any] = {f"x_{part}": mapped(torch.clone, samples.x) for part in ("train", "val", "test")}
    labels: dict[str, Any] = {f"y_{part}": samples.y.clone() for part in ("train", "val", "test")}
    x_probe = mapped(torch.clone, samples.x_probe)
    if spec.per_input:
        x_probe = PER_INPUT[spec.per_input](x_probe)
    return Splits(
        name=spec.name,
        **parts,
        **labels,
        x_probe=x_probe,
        n_outputs=samples.n_outputs,
        task=samples.task,
        class_names=samples.class_names,
        notes=samples.notes,
    )


def _inputs_of(splits: Splits) -> dict[str, Any]:
    """Return the inputs of all parts by the names of their fields."""
    found = {key: getattr(splits, key) for key in ("x_train", "x_val", "x_test", "x_probe")}
    return {key: x for key, x in found.items() if x is not None}


def _in_single(splits: Splits) -> Splits:
    """Return splits in float32; features that it cannot tell apart were float64 until here.

    Raises:
        InvalidInputError: A feature is too large for it.
    """
    if not (isinstance(splits.x_train, torch.Tensor) and splits.x_train.dtype == torch.float64):
        return splits
    parts: dict[str, Any] = {key: x.float() for key, x in _inputs_of(splits).items()}
    if not all(bool(torch.isfinite(x).all()) for x in parts.values()):
        raise InvalidInputError(
            f"data {splits.name!r}: inputs must be at most 3e38, which is what float32 holds; set standardize = true"
        )
    return replace(splits, **parts)


def _check_targets_vary(splits: Splits) -> None:
    for part, y in (("training", splits.y_train), ("validation", splits.y_val), ("test", splits.y_test)):
        if len(y) < 2 or bool((y == y[0]).all(dim=0).any()):
            raise InvalidInputError(
                f"data {splits.name!r}: regression needs at least 2 different targets in every part, but the {part} "
                f"set has {len(y)} {'samples, all with the same target' if len(y) > 1 else 'sample'}; give more data"
            )


def _chunks(x: Any) -> Iterator[torch.Tensor]:
    """Return an iterator over the rows in float64, some at a time."""
    each = max(1, _CHUNK_NUMBERS // max(1, math.prod(x.shape[1:])))
    return (in_double(rows) for rows in x.split(each))


def _standardize_(splits: Splits) -> Splits:
    mean, std = _moments(splits.x_train)
    # Rounding leaves a constant a tiny deviation from its mean: it must not be blown up.
    std = torch.where(std > 1e-12 * mean.abs(), std, 1.0)
    shape = (1, -1) + (1,) * (splits.x_train.ndim - 2)
    known: dict[str, Any] = {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}

    def standardise_(x: torch.Tensor) -> None:
        x.sub_(mean.float().view(shape)).div_(std.float().view(shape))

    return replace(_changed(splits, lambda x: replace(x, **known), standardise_), **known)


def _moments(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of each channel or feature, float64."""
    if isinstance(x, Pictures) and (found := moments_of(x)) is not None:
        return found
    axes = tuple(i for i in range(x.ndim) if i != 1)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    n = x.numel() // x.shape[1]
    mean = torch.stack([rows.sum(axes) for rows in _chunks(x)]).sum(0) / n
    variance = torch.stack([(rows - mean.view(shape)).square_().sum(axes) for rows in _chunks(x)]).sum(0) / n
    return mean, variance.sqrt()
