"""Train, validation and test sets as tensors: seeded, stratified, optionally standardised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as declared

from ..errors import InvalidInputError
from .samples import Samples

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]


@declared(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class DataSpec:
    """Which data a study uses, and how they are split.

    Args:
        name: A data set, as ``nas-sens list data`` shows them, or ``npz:PATH``.
        train_samples: Size of the class-balanced training subset; None for all that the split leaves.
        val_fraction: Part of the training data held out for selection.
        test_fraction: Part held out for the report where the data set has no official test set.
        val_samples: At most so many validation samples, stratified; None for all.
        test_samples: At most so many test samples, stratified; None for all.
        standardize: Subtract the training set's mean and divide by its standard deviation, per channel (images) or
            per feature; otherwise inputs stay raw, images in [0, 1].
        root: Folder where downloaded data sets lie.
        download: Whether a data set may be downloaded into ``root``.
        seed: Seed of the split.
    """

    name: str
    train_samples: Positive | None = None
    val_fraction: Fraction = 0.2
    test_fraction: Fraction = 0.2
    val_samples: Positive | None = None
    test_samples: Positive | None = None
    standardize: bool = False
    root: str = "data"
    download: bool = False
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Training, validation and test set; inputs float32 (n, *input_shape), labels int64 (n,).

    Attributes:
        name: The data set's name.
        x_train: Training inputs.
        y_train: Training labels.
        x_val: Inputs that selection may see.
        y_val: Labels that selection may see.
        x_test: Inputs for the report only.
        y_test: Labels for the report only.
        n_outputs: Number of classes.
        mean: What was subtracted from the raw inputs, per channel or feature; empty if nothing was.
        std: What they were divided by then.
    """

    name: str
    x_train: torch.Tensor
    y_train: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    n_outputs: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x_train.shape[1:])

    @cached_property
    def input_second_moment(self) -> float:
        """Second moment of an entry of the validation inputs, σ_x² of forouzesh2020."""
        return float(self.x_val.double().square().mean())

    @cached_property
    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of all tensors: the same only for the same data and split."""
        content = hashlib.sha256()
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, torch.Tensor):
                content.update(str(tuple(value.shape)).encode())
                content.update(value.cpu().contiguous().numpy().tobytes())
        return content.hexdigest()[:16]

    def to(self, device: torch.device | str) -> Splits:
        """Return the same splits with all tensors on ``device``."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, torch.Tensor)}
        return replace(self, **moved)


def split(samples: Samples, spec: DataSpec) -> Splits:
    """Return the splits of ``samples`` that ``spec`` declares; the same seed gives the same rows.

    Raises:
        InvalidInputError: There are too few samples of some class.
    """
    labels = samples.y.numpy()
    train, test = np.arange(len(labels)), None
    if samples.x_test is None or samples.y_test is None:
        train, test = _hold_out(train, labels, spec.test_fraction, spec, "test_fraction")
        x_test, y_test = samples.x[test], samples.y[test]
    else:
        x_test, y_test = samples.x_test, samples.y_test
    train, val = _hold_out(train, labels, spec.val_fraction, spec, "val_fraction")
    if spec.train_samples is not None:
        train = _balanced(train, labels, spec.train_samples, spec)
    val = _at_most(val, labels, spec.val_samples, spec)
    keep = torch.from_numpy(_at_most(np.arange(len(y_test)), y_test.numpy(), spec.test_samples, spec))
    result = Splits(
        name=spec.name,
        x_train=samples.x[train],
        y_train=samples.y[train],
        x_val=samples.x[val],
        y_val=samples.y[val],
        x_test=x_test[keep],
        y_test=y_test[keep],
        n_outputs=samples.n_outputs,
    )
    return _standardize(result) if spec.standardize else result


def _hold_out(
    rows: np.ndarray, labels: np.ndarray, fraction: float, spec: DataSpec, key: str
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split  # seconds to import, and not every command needs data

    try:
        kept, held = train_test_split(rows, test_size=fraction, stratify=labels[rows], random_state=spec.seed)
    except ValueError as error:
        raise InvalidInputError(
            f"data {spec.name!r}: {len(rows)} samples cannot be split by {key} = {fraction} with every class in both "
            f"parts ({error}); give more data or another fraction"
        ) from error
    return np.sort(kept), np.sort(held)


def _at_most(rows: np.ndarray, labels: np.ndarray, n: int | None, spec: DataSpec) -> np.ndarray:
    """Return ``n`` random rows with every class in proportion, to the nearest sample; ``rows`` if there are no more."""
    if n is None or n >= len(rows):
        return rows
    shuffled = np.random.default_rng(spec.seed).permutation(rows)
    position = np.empty(len(rows))  # of a row among those of its class, in (0, 1)
    for c in np.unique(labels[rows]):
        members = np.flatnonzero(labels[shuffled] == c)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(shuffled[np.argsort(position, kind="stable")[:n]])


def _balanced(rows: np.ndarray, labels: np.ndarray, n: int, spec: DataSpec) -> np.ndarray:
    """Return ``n`` rows with equally many of every class; the first classes get the remainder."""
    rng = np.random.default_rng(spec.seed)
    classes = np.unique(labels)
    chosen = []
    for i, c in enumerate(classes):
        quota = n // len(classes) + (i < n % len(classes))
        members = rows[labels[rows] == c]
        if len(members) < quota:
            raise InvalidInputError(
                f"data {spec.name!r}: train_samples = {n} needs {quota} training samples of every class, but class {c} "
                f"has {len(members)}; lower train_samples"
            )
        chosen.append(rng.choice(members, quota, replace=False))
    return np.sort(np.concatenate(chosen))


def _standardize(splits: Splits) -> Splits:
    axes = tuple(i for i in range(splits.x_train.ndim) if i != 1)
    mean = splits.x_train.double().mean(axes)
    std = splits.x_train.double().std(axes, correction=0)
    std = torch.where(std > 0, std, torch.ones_like(std))
    shape = (1, -1) + (1,) * (splits.x_train.ndim - 2)
    shift, scale = mean.float().view(shape), std.float().view(shape)
    return replace(
        splits,
        x_train=(splits.x_train - shift) / scale,
        x_val=(splits.x_val - shift) / scale,
        x_test=(splits.x_test - shift) / scale,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )
