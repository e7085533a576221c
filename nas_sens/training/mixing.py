"""Mixed training samples: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019), by torchvision."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..study.train_spec import TrainSpec

Mixing = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def make_mixing(spec: TrainSpec, n_classes: int) -> Mixing | None:
    """Return what mixes the samples of a batch; None if nothing is declared.

    It takes inputs and labels (n,), and returns mixed inputs and the shares of classes, float (n, K). Its draws are
    those of torch's global random state on the CPU.
    """
    if not (spec.mixup or spec.cutmix):
        return None
    from torchvision.transforms import v2  # takes a second to import

    kinds: list[v2.Transform] = []
    if spec.mixup:
        kinds.append(v2.MixUp(alpha=spec.mixup, num_classes=n_classes))
    if spec.cutmix:
        kinds.append(v2.CutMix(alpha=spec.cutmix, num_classes=n_classes))
    mixing: Mixing = v2.RandomChoice(kinds)
    return mixing
