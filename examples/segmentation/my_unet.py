"""Segmentation: which pixels of a noisy picture belong to an even digit, which to an odd one, which to none?

The network's output is (n, 3, height, width); S is taken over all of it. Run it in this folder:
nas-sens search study.toml
"""

from itertools import pairwise

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import nas_sens as ns

SIZE = 24


def unet(input_shape, n_outputs, *, width: int, levels: int, convs: int = 1) -> nn.Module:
    return UNet(input_shape[0], n_outputs, width, levels, convs)


class UNet(nn.Module):
    def __init__(self, n_in, n_out, width, levels, convs):
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]
        self.down = nn.ModuleList(block(a, b, convs) for a, b in zip([n_in, *widths], widths, strict=False))
        self.up = nn.ModuleList(block(b + a, a, convs) for a, b in pairwise(widths))
        self.head = nn.Conv2d(width, n_out, 1)

    def forward(self, x):
        kept = []
        for i, layer in enumerate(self.down):
            x = layer(x if i == 0 else functional.max_pool2d(x, 2))
            kept.append(x)
        for layer, beside in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            x = layer(torch.cat([functional.interpolate(x, size=beside.shape[-2:]), beside], 1))
        return {"out": self.head(x)}


def block(n_in, n_out, convs):
    layers = []
    for i in range(convs):
        layers += [nn.Conv2d(n_in if i == 0 else n_out, n_out, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def data():
    digits = load_digits()
    g = torch.Generator().manual_seed(0)
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    x, y = torch.rand(900, 1, SIZE, SIZE, generator=g) * 0.6, torch.zeros(900, SIZE, SIZE, dtype=torch.long)
    for i in range(900):
        for _ in range(3):
            which = int(torch.randint(len(images), (), generator=g))
            top, left = torch.randint(SIZE - 8, (2,), generator=g).tolist()
            x[i, 0, top : top + 8, left : left + 8] += images[which]
            y[i, top : top + 8, left : left + 8][images[which] > 0.3] = 1 + int(digits.target[which]) % 2
    train, val, test = ((x[a:b], y[a:b]) for a, b in ((0, 600), (600, 750), (750, 900)))
    return ns.Data(train=train, val=val, test=test, n_outputs=3, task="other")


def fit(model, job):
    x, y = job.data.x_train, job.data.y_train
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in job.epochs(5, optimizer=optimizer):
        for rows in torch.randperm(len(x), device=job.device).split(32):
            loss = functional.cross_entropy(model(x[rows])["out"], y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        job.report(val_iou=iou(model, job.data.x_val, job.data.y_val))
    return {
        "val_iou": iou(model, job.data.x_val, job.data.y_val),
        "test_iou": iou(model, job.data.x_test, job.data.y_test),
    }


@torch.no_grad()
def iou(model, x, y):
    found = model(x)["out"].argmax(1)
    shares = [((found == k) & (y == k)).sum() / ((found == k) | (y == k)).sum().clamp(min=1) for k in range(3)]
    return torch.stack(shares).mean()
