"""Digits: 1,797 images of 8×8 pixels in 10 classes, shipped with scikit-learn; no download."""

from __future__ import annotations

from .samples import LoadOptions, Samples, make_samples


def load(options: LoadOptions) -> Samples:
    """Return all images, grey values divided by 16 to lie in [0, 1]."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return make_samples(bunch.images / 16.0, bunch.target, source="digits")
