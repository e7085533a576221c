"""SVHN: 99,289 digits of house numbers of 32×32 pixels in colour, by torchvision from a folder or a download."""

from __future__ import annotations

from types import SimpleNamespace

from ._torchvision import load_torchvision
from .samples import LoadOptions, Samples


def load(options: LoadOptions) -> Samples:
    """Return the official training set, without the "extra" one, and test set."""
    from torchvision.datasets import SVHN

    def open_part(root: str, *, train: bool, download: bool) -> SimpleNamespace:
        part = SVHN(root, split="train" if train else "test", download=download)
        return SimpleNamespace(data=part.data, targets=part.labels)

    return load_torchvision(open_part, options, "svhn")
