"""FashionMNIST: 70,000 pictures of clothes of 28×28 pixels, by torchvision from a root folder or a download."""

from __future__ import annotations

from ._torchvision import load_torchvision
from .samples import LoadOptions, Samples


def load(options: LoadOptions) -> Samples:
    """Return the official training and test set."""
    from torchvision.datasets import FashionMNIST

    return load_torchvision(FashionMNIST, options, "fashion_mnist")
