"""CIFAR100: 60,000 colour photographs of 32×32 pixels in 100 classes, by torchvision from a folder or a download."""

from __future__ import annotations

from ._torchvision import load_torchvision
from .samples import LoadOptions, Samples


def load(options: LoadOptions) -> Samples:
    """Return the official training and test set."""
    from torchvision.datasets import CIFAR100

    return load_torchvision(CIFAR100, options, "cifar100")
