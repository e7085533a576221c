"""MNIST: 70,000 handwritten digits of 28×28 pixels, by torchvision from a root folder or a download."""

from __future__ import annotations

from ._torchvision import load_torchvision
from .samples import LoadOptions, Samples


def load(options: LoadOptions) -> Samples:
    """Return the official training and test set."""
    from torchvision.datasets import MNIST

    return load_torchvision(MNIST, options, "mnist")
