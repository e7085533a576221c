"""Whether data can be trained on as a study declares."""

from __future__ import annotations

import torch

from ..core.errors import InvalidInputError
from ..core.inputs import is_plain, shape_text
from ..data import Splits
from ..data.image_transforms import check_transforms
from ..data.pictures import Pictures
from ..data.timm_pictures import check_timm_transform
from ..recordings import check_records
from ..study.train_spec import TrainSpec
from .weights import check_class_weights


def check_own_trainer(splits: Splits) -> None:
    """Check that this tool's own trainer can train on data at all.

    Raises:
        InvalidInputError: It cannot: there are none, of several tensors, or for a task that it does not know.
    """
    if splits.has_only_probe:
        problem = "has only inputs to score with, and nothing to train on"
    elif not isinstance(splits.x_train, (torch.Tensor, Pictures)):
        problem = f"has inputs of several tensors, {shape_text(splits.input_shape)}"
    elif splits.task == "other":
        problem = f"has targets of shape {tuple(splits.y_train.shape[1:])}, for which it knows no loss"
    else:
        return
    raise InvalidInputError(
        f"the trainer of nas_sens cannot train on data {splits.name!r}: it {problem}; name one of your own by [train] "
        "trainer, or only score (nas-sens score)"
    )


def check_trainable(spec: TrainSpec, splits: Splits) -> None:
    """Check that data can be trained on as declared.

    Raises:
        InvalidInputError: There are fewer samples than declared, or label noise, temperature scaling, records,
            augmentation or transforms do not fit the task or the inputs.
    """
    if splits.has_only_probe:
        return
    n = len(splits.y_train)
    if spec.samples is not None and spec.samples > n:
        raise InvalidInputError(
            f"samples in [train] must be at most the {n} training samples of data {splits.name!r}; given "
            f"{spec.samples}; lower it, or raise train_samples in [data]"
        )
    if splits.task != "classification" and spec.label_noise > 0:
        raise InvalidInputError(
            f"label_noise in [train] swaps classes, but data {splits.name!r} is for {splits.task}; set it to 0"
        )
    if splits.task != "classification" and spec.temperature_scaling:
        raise InvalidInputError(
            f"temperature_scaling in [train] needs classes, but data {splits.name!r} is for {splits.task}; set it to "
            "false"
        )
    check_class_weights(splits, spec)
    _check_mixing(spec, splits)
    if spec.timm_transform is not None:
        check_timm_transform(spec.timm_transform, splits)
    check_records(spec.recordings, splits, n_inputs=spec.recording_inputs)
    declared = "augmentation" if spec.augmentation else "transforms"
    if not getattr(spec, declared):
        return
    if not is_plain(splits.input_shape) or len(splits.input_shape) != 3:
        raise InvalidInputError(
            f"{declared} in [train] needs images (channels, height, width), but data {splits.name!r} has inputs of "
            f"shape {shape_text(splits.input_shape)}; remove it"
        )
    if "rotation" in spec.augmentation and splits.input_shape[1] != splits.input_shape[2]:
        raise InvalidInputError(
            f"augmentation by rotation in [train] needs square images, but data {splits.name!r} has inputs of shape "
            f"{splits.input_shape}; remove it"
        )
    check_transforms(spec.transforms, splits.x_train[:16])


def _check_mixing(spec: TrainSpec, splits: Splits) -> None:
    """Check that labels can be mixed and smoothed.

    Raises:
        InvalidInputError: They are no classes, or samples count differently, or inputs cannot be mixed.
    """
    asked = [key for key in ("label_smoothing", "mixup", "cutmix") if getattr(spec, key)]
    if not asked:
        return
    mixing = [key for key in asked if key != "label_smoothing"]
    if splits.task != "classification":
        problem = f"needs classes, but data {splits.name!r} is for {splits.task}"
    elif asked[0] == "label_smoothing" and spec.loss != "cross_entropy":
        problem = f'needs loss "cross_entropy"; given "{spec.loss}"'
    elif mixing and (splits.w_train is not None or spec.class_weights != "none"):
        asked, problem = mixing, "cannot be had with weights of samples or classes"
    elif mixing and len(splits.input_shape) != 3:
        asked, problem = mixing, f"needs images (channels, height, width); given inputs of shape {splits.input_shape}"
    else:
        return
    raise InvalidInputError(f"{asked[0]} in [train] {problem}; remove it")
