"""What describes a record of a network: arrays that ``[train] recordings`` keeps of it at some epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.device import where_doubles_are
from ..core.identity import make_generator
from ..data import Splits
from ..data.subset import part_of

Arrays = dict[str, torch.Tensor]
Combine = Callable[[Sequence[Mapping[str, np.ndarray]]], Mapping[str, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a record is taken of beside the network; inputs and labels come on the network's device.

    Where a device has no float64, as Apple's, both network and inputs are on the CPU.

    Attributes:
        splits: The data.
        y_train: Training labels as they are trained on, with label noise if there is any.
        n_inputs: Number of inputs to take of a set, its classes in proportion: the first rows may be of few classes.
            They are the same for all networks and all their trainings.
        loss: What is trained with: ``cross_entropy`` or ``mse``.
        generator: Source of all that is drawn, on the CPU; the same at every epoch, so that a course over epochs is
            one of the network alone.
    """

    splits: Splits
    y_train: torch.Tensor
    n_inputs: int
    loss: str
    generator: torch.Generator

    @property
    def train(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Training inputs and the labels that they are trained with."""
        return self._part(self.splits.x_train, self.y_train)

    @property
    def validation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Validation inputs and labels."""
        return self._part(self.splits.x_val, self.splits.y_val)

    @property
    def test(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Test inputs and labels; records decide nothing, they are for figures."""
        return self._part(self.splits.x_test, self.splits.y_test)

    def _part(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = part_of(x, y, self.n_inputs, generator=make_generator("inputs of records"))
        where = where_doubles_are(x.device)
        return x.to(where), y.to(where)


def first_seed(seeds: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Return the arrays of the first training, where a mean over trainings would have no meaning."""
    return seeds[0]


def mean_over_seeds(seeds: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
    """Return the means over trainings; not a number where one of them has none."""
    return {name: np.mean([one[name] for one in seeds], axis=0) for name in seeds[0]}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One kind of record; a module of this package has it as ``RECORDING``, and its name.

    Attributes:
        function: ``function(model, recorded) -> {name: tensor}``, tensors of any shape, also of none. It leaves
            weights, modes and gradients of ``model`` and the global random state as it found them, draws from
            ``recorded.generator`` only, and raises InvalidInputError, in one line, where something is lacking.
        fields: Names of its arrays as they are stored, in their order.
        size: Most numbers that it keeps, given the number of inputs that are asked for and the data.
        source: Where it is from: authors, year, figure.
        combine: Makes one record of those of several trainings of one architecture.
        requirement: Given the data, says in words what they lack for it; "" for nothing.
    """

    function: Callable[[nn.Module, Recorded], Arrays]
    fields: tuple[str, ...]
    size: Callable[[int, Splits], int]
    source: str
    combine: Combine = mean_over_seeds
    requirement: Callable[[Splits], str] = lambda splits: ""

    @property
    def name(self) -> str:
        """The name of its module."""
        return str(self.function.__module__).rpartition(".")[2]


def needs_classes(splits: Any) -> str:
    """Return what a record lacks that is of classes only."""
    return "" if splits.task == "classification" else "classes, not a regression"
