"""Tokens with an embedding: which module of Python's library do sixty-four characters come from?

Noise enters behind the embedding, as there is nothing between two characters. Run it in this folder:
nas-sens search study.toml
"""

import argparse
import decimal
import inspect
import json.decoder
import tarfile

import torch
from torch import nn
from torch.nn import functional

import nas_sens as ns

LENGTH = 64


def reader(input_shape, n_outputs, *, dim: int, width: int, layers: int, kind: str = "gru") -> nn.Module:
    return Reader(n_outputs, dim, width, layers, kind)


class Reader(nn.Module):
    def __init__(self, n_outputs, dim, width, layers, kind):
        super().__init__()
        self.embedding = nn.Embedding(128, dim)
        self.body = {"gru": nn.GRU, "lstm": nn.LSTM}[kind](dim, width, layers, batch_first=True)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, tokens):
        states, _ = self.body(self.embedding(tokens))
        return self.head(states.mean(1))


def data():
    parts = []
    for label, module in enumerate([argparse, decimal, json.decoder, tarfile]):
        text = inspect.getsource(module).encode("ascii", "replace")[: 500 * LENGTH]
        rows = torch.tensor(list(text[: len(text) // LENGTH * LENGTH])).clamp(max=127).view(-1, LENGTH)
        parts.append((rows, torch.full((len(rows),), label)))
    return ns.Data(train=tuple(map(torch.cat, zip(*parts, strict=True))), n_outputs=4)


def fit(model, job):
    x, y = job.data.x_train, job.data.y_train
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in job.epochs(6, optimizer=optimizer):
        for rows in torch.randperm(len(x), device=job.device).split(64):
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        job.report(val_accuracy=accuracy(model, job.data.x_val, job.data.y_val))
    return {
        "val_accuracy": accuracy(model, job.data.x_val, job.data.y_val),
        "test_accuracy": accuracy(model, job.data.x_test, job.data.y_test),
    }


@torch.no_grad()
def accuracy(model, x, y):
    return (model(x).argmax(1) == y).float().mean()
