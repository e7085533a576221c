"""Series in which one of eight short motifs hides, and one-dimensional convolutions that look for it."""

from __future__ import annotations

import numpy as np
from torch import nn

import nas_sens as ns

LENGTH, MOTIF, CLASSES = 96, 16, 8
SIZES = (1000, 1000, 1000)  # train, val, test


def data() -> ns.Data:
    """Return two channels of noise, with the motif of the class at a random place in both and part of another."""
    rng = np.random.default_rng(0)
    motifs = np.cumsum(rng.normal(size=(CLASSES, 2, MOTIF)), axis=2)
    motifs -= motifs.mean(axis=2, keepdims=True)
    motifs /= motifs.std(axis=2, keepdims=True)
    n = sum(SIZES)
    y, others = rng.integers(CLASSES, size=n), rng.integers(CLASSES, size=n)
    x = rng.normal(size=(n, 2, LENGTH))
    for i in range(n):
        at, other = rng.choice(LENGTH // MOTIF, size=2, replace=False) * MOTIF
        x[i, :, at : at + MOTIF] += 1.5 * motifs[y[i]]
        x[i, :, other : other + MOTIF // 2] += 1.5 * motifs[others[i], :, : MOTIF // 2]
    ends = np.cumsum(SIZES)[:-1]
    train, val, test = zip(np.split(x.astype(np.float32), ends), np.split(y, ends), strict=True)
    return ns.Data(train=train, val=val, test=test, n_outputs=CLASSES)


@ns.family
def conv1d(
    input_shape: tuple[int, ...],
    n_outputs: int,
    *,
    depth: int,
    width: int,
    kernel: int = 3,
    norm: bool = False,
    dilated: bool = False,
    pool: str = "mean",
) -> nn.Module:
    """Return ``depth`` × (convolution, batch norm, ReLU), a pool over time, linear."""
    layers: list[nn.Module] = []
    n = input_shape[0]
    for i in range(depth):
        dilation = 2**i if dilated else 1
        layers.append(nn.Conv1d(n, width, kernel, padding="same", dilation=dilation))
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers.append(nn.ReLU())
        n = width
    pools = {"mean": nn.AdaptiveAvgPool1d(1), "max": nn.AdaptiveMaxPool1d(1), "flat": nn.AvgPool1d(8)}
    layers += [pools[pool], nn.Flatten()]
    n_features = width * (input_shape[1] // 8 if pool == "flat" else 1)
    return nn.Sequential(*layers, nn.Linear(n_features, n_outputs))
