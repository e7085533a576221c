"""A network, data and a training loop of one's own: a 1-D convolution over the rows of written digits.

Run it in this folder:  nas-sens search study.toml
"""

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch import nn
from torch.nn import functional

import nas_sens as ns


def conv1d(input_shape, n_outputs, *, depth: int, width: int, kernel: int = 3, norm: bool = False) -> nn.Module:
    layers, n = [], input_shape[0]
    for _ in range(depth):
        layers += [nn.Conv1d(n, width, kernel, padding=kernel // 2), nn.BatchNorm1d(width) if norm else nn.Identity()]
        layers += [nn.ReLU()]
        n = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(n, n_outputs))


def data():
    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 8, 8) / 16  # eight channels of length eight
    y = torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, val, test = ((x[rows], y[rows]) for rows in order.split([1000, 400, 397]))
    return ns.Data(train=train, val=val, test=test, n_outputs=10)


def fit(model, job):
    x, y = job.data.x_train, job.data.y_train
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    for _ in job.epochs(12, optimizer=optimizer, schedule=schedule):
        model.train()
        for rows in torch.randperm(len(x), device=job.device).split(64):
            loss = functional.cross_entropy(model(x[rows]), y[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        job.report(val_f1=f1(model, job.data.x_val, job.data.y_val), train_loss=loss)
    return {
        "val_f1": f1(model, job.data.x_val, job.data.y_val),
        "test_f1": f1(model, job.data.x_test, job.data.y_test),
    }


@torch.no_grad()
def f1(model, x, y):
    model.eval()
    return f1_score(y.cpu(), model(x).argmax(1).cpu(), average="macro")
