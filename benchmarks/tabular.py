"""Diabetes patients with a standardised target: in its own units, hundreds of steps would only find its mean."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes

import nas_sens as ns

SIZES = (200, 121, 121)  # train, val, test


def diabetes() -> ns.Data:
    """Return 442 patients of 10 standardised features."""
    bunch = load_diabetes(scaled=False)
    order = np.random.default_rng(0).permutation(len(bunch.data))
    x, y = bunch.data[order], bunch.target[order]
    x, y = ((v - v[: SIZES[0]].mean(axis=0)) / v[: SIZES[0]].std(axis=0) for v in (x, y))
    ends = np.cumsum(SIZES)[:-1]
    train, val, test = zip(*(np.split(a.astype(np.float32), ends) for a in (x, y)), strict=True)
    return ns.Data(train=train, val=val, test=test, n_outputs=1, task="regression")
