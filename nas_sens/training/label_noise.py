"""Label noise: some training labels swapped for another class."""

from __future__ import annotations

import torch


def noisy_labels(y: torch.Tensor, *, share: float, n_classes: int, generator: torch.Generator) -> torch.Tensor:
    """Return labels (n,) of which a random ``share``, to the nearest whole number, is swapped for another class.

    Each of the other classes is as likely. Where labels are drawn from all classes instead (novak2018), or swapped
    among each other (liao2018), one in K of them stays what it was: a share of p there is one of p · (K - 1) / K here,
    and (K - 1) / K makes all labels random.

    Args:
        y: Labels int64 (n,); not altered.
        share: From 0 to 1.
        n_classes: K, at least 2.
        generator: Source of the noise, on the device of ``y``.
    """
    n = round(share * len(y))
    rows = torch.randperm(len(y), generator=generator, device=y.device)[:n]
    shift = torch.randint(1, n_classes, (n,), generator=generator, device=y.device)
    noisy = y.clone()
    noisy[rows] = (y[rows] + shift) % n_classes
    return noisy
