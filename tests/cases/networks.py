"""Networks as people have them, of 1×8×8 or 6×16 inputs and 10 outputs, each with the same draws every time."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

SHAPE, K, WIDTH = (1, 8, 8), 10, 12
TOKENS = (6, 16)  # T steps of E numbers


def plain(wrap=lambda layer: layer, also=lambda layer: layer):
    torch.manual_seed(0)
    first, last = nn.Linear(64, WIDTH), nn.Linear(WIDTH, K)
    return nn.Sequential(nn.Flatten(), wrap(first), nn.ReLU(), also(last))


def convolutional(wrap=lambda layer: layer, also=lambda layer: layer):
    torch.manual_seed(1)
    conv, last = nn.Conv2d(1, 4, 3, stride=2), nn.Linear(36, K)
    return nn.Sequential(wrap(conv), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), also(last))


class Halved(nn.Module):
    """A parametrisation of one's own."""

    def forward(self, weight):
        return weight / 2

    def right_inverse(self, weight):
        return weight * 2


def halved(layer):
    parametrize.register_parametrization(layer, "weight", Halved())
    return layer


def pruned(layer):
    return prune.l1_unstructured(layer, "weight", amount=0.3)


def pruned_twice(layer):
    return prune.random_unstructured(pruned(layer), "weight", amount=3)


COMPUTED = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own": halved,
    "old_weight_norm": nn.utils.weight_norm,
    "old_spectral_norm": nn.utils.spectral_norm,
    "pruned": pruned,
    "pruned_twice": pruned_twice,
}


class Heads(nn.Module):
    """What is behind a body may be returned in many ways."""

    def __init__(self, give):
        super().__init__()
        torch.manual_seed(2)
        self.body, self.head, self.aux = plain(), nn.Linear(K, K), nn.Linear(K, K)
        self.give = give

    def forward(self, x):
        z = self.body(x)
        return self.give(self.head(z), self.aux(z))


class Two(Heads):
    def forward(self, x, meta):
        return self.head(self.body(x)) + meta


class Raises(Heads):
    """Fails in a way of its own."""

    def forward(self, x):
        raise self.give


class _Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("a backward pass of one's own")


class BrokenBackward(Heads):
    def forward(self, x):
        return _Broken.apply(self.head(self.body(x)))


class Stateful(nn.Module):
    """Counts, remembers and draws whenever it is called, whatever its mode."""

    def __init__(self):
        super().__init__()
        self.body = plain()
        self.register_buffer("n_calls", torch.zeros(()))
        self.seen = 0
        self.kept = None

    def forward(self, x):
        self.n_calls += 1
        self.seen += 1
        self.kept = self.body(x)
        self.extra = x
        return nn.functional.dropout(self.kept, 0.5)


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(3)
        self.cell = kind(TOKENS[1], 5, batch_first=True, **options)
        out = options.get("proj_size") or 5
        self.head = nn.Linear(out * (2 if options.get("bidirectional") else 1), K)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(4)
        self.attention = nn.MultiheadAttention(TOKENS[1], 2, batch_first=True, **options)
        self.head = nn.Linear(TOKENS[1], K)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Encoder(nn.Module):
    def __init__(self, norm_first=False):
        super().__init__()
        torch.manual_seed(5)
        layer = nn.TransformerEncoderLayer(TOKENS[1], 2, 32, batch_first=True, dropout=0.3, norm_first=norm_first)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(TOKENS[1], K)

    def forward(self, x):
        return self.head(self.layers(x).mean(1))


class Functional(nn.Module):
    """A parameter of its own in an operation that is no layer."""

    def __init__(self, operation, *shape):
        super().__init__()
        torch.manual_seed(6)
        self.weight = nn.Parameter(torch.randn(shape) / 8)
        self.operation = operation

    def forward(self, x):
        return self.operation(x.flatten(1), self.weight)


class TiedByFunction(nn.Module):
    """A layer whose weight is used without a call of it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(7)
        self.first, self.last = nn.Linear(64, WIDTH), nn.Linear(WIDTH, K)

    def forward(self, x):
        return self.last(nn.functional.linear(x.flatten(1), self.first.weight).relu())


def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(WIDTH), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(K))


def quantised(first=False):
    torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
    kinds = {"1"} if first else {nn.Linear}
    return torch.ao.quantization.quantize_dynamic(plain(), kinds)


class Calls(nn.Module):
    """Does something of its own whenever it is called."""

    def __init__(self, act):
        super().__init__()
        self.body, self.act = plain(), act

    def forward(self, x):
        self.act(self)
        return self.body(x)


def adds_a_hook(model):
    model.body[1].register_forward_hook(lambda *_: None)


def adds_a_layer(model):
    if not hasattr(model, "late"):
        model.late = nn.Linear(K, K)


def replaces_a_layer(model):
    model.body[2] = nn.Tanh()


def updates_a_weight(model):
    with torch.no_grad():
        model.body[1].weight.mul_(1.01)


def replaces_a_weight(model):
    model.body[1].weight = nn.Parameter(model.body[1].weight.detach() * 1.01)


def resizes_a_buffer(model):
    if "sizes" not in model._buffers:
        return
    model.sizes.resize_(5).fill_(1)


def trains(model):
    model.train()


def changes_the_process(model):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(3)


ACTS = {
    a.__name__: a
    for a in (
        *(adds_a_hook, adds_a_layer, replaces_a_layer, updates_a_weight, replaces_a_weight, resizes_a_buffer, trains),
        changes_the_process,
    )
}


def acting(name):
    model = Calls(ACTS[name])
    model.register_buffer("sizes", torch.zeros(0))
    return model


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.first, self.last = nn.Linear(64, WIDTH, dtype=torch.complex64), nn.Linear(WIDTH, K)

    def forward(self, x):
        return self.last(self.first(x.flatten(1).to(torch.complex64)).abs())


class Series(nn.Module):
    """A table of three axes, which einsum multiplies a copy of."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(9)
        self.table = nn.Parameter(torch.randn(64, WIDTH, 3) / 8)
        self.head = nn.Linear(WIDTH, K)

    def forward(self, x):
        x = torch.stack([torch.cos(k * x.flatten(1)) for k in range(3)], -1)
        return self.head(torch.einsum("bif,iof->bo", x, self.table))


def trained_for_integers():
    from torch.ao import quantization

    model = nn.Sequential(quantization.QuantStub(), plain(), quantization.DeQuantStub()).train()
    model.qconfig = quantization.get_default_qat_qconfig("fbgemm")
    return quantization.prepare_qat(model)
