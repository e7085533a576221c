"""How much samples, classes and labels count in the loss that is trained with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.errors import InvalidInputError
from ..data import Splits
from ..study.train_spec import TrainSpec


@dataclass(frozen=True, eq=False)
class LossWeights:
    """Weights in the training loss.

    Attributes:
        samples: Of each training sample, float32 (n,), of mean 1; None for all alike.
        labels: With several labels at once, what the loss of a label that is true is multiplied by, float32 (K,); None
            for nothing.
    """

    samples: torch.Tensor | None = None
    labels: torch.Tensor | None = None


NO_WEIGHTS = LossWeights()


def loss_weights(splits: Splits, y_train: torch.Tensor, spec: TrainSpec) -> LossWeights:
    """Return the weights that ``[train] class_weights`` and the data ask for, on the device of the labels.

    Args:
        splits: The data.
        y_train: The labels that are trained on.
        spec: How to train.

    Raises:
        InvalidInputError: There is another number of class weights than of classes.
    """
    if spec.class_weights == "none":
        return LossWeights(samples=splits.w_train)
    check_class_weights(splits, spec)
    if splits.task == "multilabel":
        if spec.class_weights == "balanced":
            true = y_train.sum(0)
            return LossWeights(samples=splits.w_train, labels=(len(y_train) - true) / true.clamp(min=1))
        return LossWeights(samples=splits.w_train, labels=_tensor(spec.class_weights, y_train.device))
    if spec.class_weights == "balanced":  # as scikit-learn has it: every class counts as much as any other
        counts = torch.bincount(y_train, minlength=splits.n_outputs)
        of_class = (len(y_train) / (counts > 0).sum() / counts.clamp(min=1)).float()
    else:
        of_class = _tensor(spec.class_weights, y_train.device)
    of_sample = of_class[y_train]
    if splits.w_train is not None:
        of_sample = of_sample * splits.w_train
    return LossWeights(samples=of_sample / of_sample.mean())


def check_class_weights(splits: Splits, spec: TrainSpec) -> None:
    """Check that class weights go with the data.

    Raises:
        InvalidInputError: There are no classes, or another number of them.
    """
    if spec.class_weights == "none":
        return
    if splits.task not in ("classification", "multilabel"):
        raise InvalidInputError(
            f"class_weights in [train] needs classes, but data {splits.name!r} is for {splits.task}; remove it, or "
            "give samples weights by weight in [data]"
        )
    if isinstance(spec.class_weights, tuple) and len(spec.class_weights) != splits.n_outputs:
        raise InvalidInputError(
            f"class_weights in [train] must be one number for each of the {splits.n_outputs} classes of data "
            f"{splits.name!r}; given {len(spec.class_weights)}"
        )


def _tensor(values: tuple[float, ...] | str, device: torch.device) -> torch.Tensor:
    assert not isinstance(values, str)
    return torch.tensor(values, dtype=torch.float32, device=device)
